// Asks a Prometheus, and makes its answers data frames as Grafana's data source does.
import { DataFrame, Field, FieldType, rangeUtil } from '@grafana/data';

declare const SCRAPE_S: number;
const SCRAPE_MS = SCRAPE_S * 1000;

interface Series {
  metric: Record<string, string>;
  values?: Array<[number, string]>;
  value?: [number, string];
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: string;
  interval?: string;
  hide?: boolean;
}

export class Ask {
  readonly complaints: string[] = [];

  constructor(readonly fromMs: number, readonly toMs: number) {}

  private async get(path: string, params: Record<string, string>): Promise<any> {
    const reply = await (await fetch(`/api/v1/${path}?${new URLSearchParams(params)}`)).json();
    if (reply.status !== 'success') {
      this.complaints.push(`${params.query ?? path}: ${reply.error}`);
      return { result: [] };
    }
    return reply.data;
  }

  labelValues(label: string, selector?: string): Promise<string[]> {
    const range = { start: String(this.fromMs / 1000), end: String(this.toMs / 1000) };
    return this.get(`label/${label}/values`, selector ? { ...range, 'match[]': selector } : range);
  }

  /** The milliseconds between two samples of a panel so wide, and the words that stand for it in an expression. */
  stepMs(width: number, least?: string): number {
    const spanMs = this.toMs - this.fromMs;
    const leastMs = least ? rangeUtil.intervalToMs(least) : SCRAPE_MS;
    return Math.max(rangeUtil.roundInterval(spanMs / width), leastMs);
  }

  times(stepMs: number): Record<string, string> {
    const span = Math.round((this.toMs - this.fromMs) / 1000);
    return {
      __interval: `${stepMs / 1000}s`,
      __interval_ms: String(stepMs),
      __rate_interval: `${Math.max(stepMs + SCRAPE_MS, 4 * SCRAPE_MS) / 1000}s`,
      __range: `${span}s`,
      __range_s: String(span),
      __range_ms: String(span * 1000),
    };
  }

  async range(query: string, stepMs: number): Promise<Series[]> {
    const start = Math.floor(this.fromMs / stepMs) * stepMs;
    const data = await this.get('query_range', {
      query, start: String(start / 1000), end: String(this.toMs / 1000), step: String(stepMs / 1000),
    });
    return data.result;
  }

  async instant(query: string): Promise<Series[]> {
    const data = await this.get('query', { query, time: String(this.toMs / 1000) });
    return data.resultType === 'scalar' ? [{ metric: {}, value: data.result }] : data.result;
  }

  async frames(target: Target, query: string, stepMs: number, isAlone: boolean): Promise<DataFrame[]> {
    const isInstant = Boolean(target.instant) && !target.range;
    const answer = isInstant ? await this.instant(query) : await this.range(query, stepMs);
    if (answer.length === 0) {
      this.complaints.push(`no data: ${query}`);
    }
    return target.format === 'table'
      ? [tableOf(answer, target.refId, isAlone)]
      : answer.map((series) => frameOf(series, target, stepMs));
  }
}

function samplesOf(series: Series): Array<[number, string]> {
  return series.values ?? (series.value ? [series.value] : []);
}

function frameOf(series: Series, target: Target, stepMs: number): DataFrame {
  const samples = samplesOf(series);
  const { __name__: _, ...labels } = series.metric;
  const name = legendOf(series.metric, target.legendFormat);
  const fields: Field[] = [
    { name: 'Time', type: FieldType.time, config: { interval: stepMs }, values: samples.map(([at]) => at * 1000) },
    {
      name: 'Value', type: FieldType.number, labels,
      config: name ? { displayNameFromDS: name } : {},
      values: samples.map(([, value]) => Number(value)),
    },
  ];
  return { refId: target.refId, name, fields, length: samples.length, meta: { type: 'timeseries-multi' as any } };
}

function legendOf(metric: Record<string, string>, format?: string): string | undefined {
  if (format === '__auto') {
    return undefined; // Grafana finds the labels that differ
  }
  if (format) {
    return format.replace(/\{\{\s*(\S+?)\s*\}\}/g, (_, label) => metric[label] ?? '');
  }
  const { __name__: name = '', ...labels } = metric;
  const listed = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  return listed.length ? `${name}{${listed.join(', ')}}` : name || undefined;
}

function tableOf(answer: Series[], refId: string, isAlone: boolean): DataFrame {
  const rows = answer.flatMap((series) => samplesOf(series).map((sample) => ({ metric: series.metric, sample })));
  const labels = [...new Set(answer.flatMap((series) => Object.keys(series.metric)))].sort();
  const fields: Field[] = [
    { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ sample }) => sample[0] * 1000) },
    ...labels.map((label) => ({
      name: label, type: FieldType.string, config: {}, values: rows.map(({ metric }) => metric[label] ?? null),
    })),
    {
      name: isAlone ? 'Value' : `Value #${refId}`, type: FieldType.number, config: {},
      values: rows.map(({ sample }) => Number(sample[1])),
    },
  ];
  return { refId, fields, length: rows.length };
}
