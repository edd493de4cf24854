// Variables: what `$brand`, `${brand:regex}` and `$__rate_interval` stand for.
import { Ask } from './prometheus';

export interface Variable {
  name: string;
  type: string;
  label?: string;
  hide?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  regex?: string;
  query?: any;
  options?: Array<{ value: string | string[] }>;
  current?: { value?: string | string[] };
}

export interface Chosen {
  variable: Variable;
  options: string[]; // what there is to choose
  values: string[]; // what was chosen
  isAll: boolean;
}

export type Words = Map<string, Chosen>;

/** Resolves the board's variables in order; `given` (from the command line) goes before the board's own choice. */
export async function choose(list: Variable[], given: Record<string, string>, ask: Ask): Promise<Words> {
  const words: Words = new Map();
  for (const variable of list) {
    const options = await optionsOf(variable, ask, words);
    words.set(variable.name, choice(variable, options, given[variable.name]));
  }
  return words;
}

async function optionsOf(variable: Variable, ask: Ask, words: Words): Promise<string[]> {
  if (variable.type === 'query') {
    const text = typeof variable.query === 'string' ? variable.query : (variable.query?.query ?? '');
    const found = /^label_values\(\s*(?:(.+),)?\s*([A-Za-z_]\w*)\s*\)$/s.exec(text.trim());
    if (!found) {
      throw new Error(`variable ${variable.name}: only label_values(...) is known here, not ${text}`);
    }
    return ask.labelValues(found[2], found[1] && interpolate(found[1], words));
  }
  if (variable.type === 'custom' || variable.type === 'interval') {
    return String(variable.query).split(',').map((word) => word.trim().split(' : ').pop() as string);
  }
  return [String(variable.current?.value ?? variable.query ?? '')];
}

function choice(variable: Variable, options: string[], given?: string): Chosen {
  const wanted = given ? given.split(',') : [variable.current?.value ?? []].flat();
  const isAll = Boolean(variable.includeAll) && (wanted.length === 0 || wanted.includes('$__all') || wanted[0] === 'All');
  const known = wanted.filter((value) => given || variable.type !== 'query' || options.includes(value));
  return { variable, options, isAll, values: isAll ? options : known.length ? known : options.slice(0, 1) };
}

/** Puts the words into a text, as Grafana does for Prometheus: several values become a regular expression. */
export function interpolate(text: string, words: Words, extra: Record<string, string> = {}): string {
  return text.replace(/\$\{(\w+)(?::(\w+))?\}|\$(\w+)|\[\[(\w+)\]\]/g, (whole, braced, format, plain, square) => {
    const name = braced ?? plain ?? square;
    if (name in extra) {
      return extra[name];
    }
    const chosen = words.get(name);
    return chosen ? formatted(chosen, format) : whole;
  });
}

function formatted({ values, isAll, variable }: Chosen, format?: string): string {
  if (isAll && variable.allValue) {
    return variable.allValue;
  }
  if (format === 'text' || format === 'csv' || format === 'raw') {
    return isAll && format === 'text' ? 'All' : values.join(',');
  }
  if (format === 'queryparam') {
    return values.map((value) => `var-${variable.name}=${encodeURIComponent(value)}`).join('&');
  }
  return values.length === 1 ? values[0] : `(${values.join('|')})`;
}
