// Annotations: the board's queries, answered, as lines and shades over time.
import { Ask } from './prometheus';

export interface Mark {
  fromMs: number;
  toMs: number;
  color: string;
  isOn: (panelId: number) => boolean; // an annotation may be kept to some panels, or from some
}

/** As Grafana's Prometheus data source does: samples of a series that follow one another make one region. */
export async function marksOf(board: any, ask: Ask, replace: (text: string, extra?: any) => string): Promise<Mark[]> {
  const marks: Mark[] = [];
  for (const query of board.annotations?.list ?? []) {
    const expr = query.expr ?? query.target?.expr;
    if (!expr || query.enable === false) {
      continue;
    }
    const stepMs = ask.stepMs(1000, query.step || '60s');
    for (const series of await ask.range(replace(expr, ask.times(stepMs)), stepMs)) {
      marks.push(...regions(series.values ?? [], stepMs, query));
    }
  }
  return marks;
}

function regions(values: Array<[number, string]>, stepMs: number, query: any): Mark[] {
  const marks: Mark[] = [];
  const { ids = [], exclude = true } = query.filter ?? {};
  const isOn = (panelId: number) => ids.includes(panelId) !== Boolean(exclude);
  const isTime = query.useValueForTime === true || query.useValueForTime === 'on';
  for (const [second, value] of values) {
    if (Number(value) === 0) {
      continue;
    }
    const atMs = isTime ? Math.floor(Number(value)) : second * 1000;
    const last = marks[marks.length - 1];
    if (last && atMs - last.toMs <= stepMs) {
      last.toMs = atMs;
    } else {
      marks.push({ fromMs: atMs, toMs: atMs, color: query.iconColor ?? 'red', isOn });
    }
  }
  return marks;
}
