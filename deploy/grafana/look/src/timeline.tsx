// The state timeline, in the look of Grafana's: its plugin is in no package.
import {
  dateTimeFormat, DisplayValue, Field, FieldType, formattedValueToString, getActiveThreshold, getValueFormat, GrafanaTheme2,
} from '@grafana/data';
import { VizLegend } from '@grafana/ui';
import { Drawn } from './panels';

interface Row {
  name: string;
  field: Field;
  times: number[];
  stepMs: number;
}

interface Stretch {
  fromMs: number;
  toMs: number;
  shown: DisplayValue;
}

const AXIS = 24;

function stretches({ field, times, stepMs }: Row, show: (value: unknown) => DisplayValue, merge: boolean): Stretch[] {
  const found: Stretch[] = [];
  times.forEach((at, index) => {
    const value = field.values[index];
    if (value == null || Number.isNaN(value)) {
      return;
    }
    const shown = show(value);
    const last = found[found.length - 1];
    const follows = last && at - last.toMs <= stepMs * 0.5;
    if (follows && merge && shown.text === last.shown.text) {
      last.toMs = at + stepMs;
    } else {
      found.push({ fromMs: at, toMs: at + stepMs, shown });
    }
  });
  return found;
}

const isByThreshold = ({ type, config }: Field) => type === FieldType.number && config.color?.mode === 'thresholds';

/** The words of each step of the thresholds, as the plugin writes them: `< 1`, `1+`, `2+`. */
function stepsOf(field: Field, theme: GrafanaTheme2): DisplayValue[] {
  const steps = field.config.thresholds?.steps ?? [];
  const format = (value: number) => formattedValueToString(getValueFormat(field.config.unit ?? '')(value, field.config.decimals));
  return steps.map(({ value, color }, index) => ({
    numeric: NaN, color: theme.visualization.getColorByName(color),
    text: value === -Infinity && index < steps.length - 1 ? `< ${format(steps[index + 1].value)}` : `${format(value ?? 0)}+`,
  }));
}

/** Grafana's plugin merges a field that is coloured by thresholds step by step, and then shows the steps' own words:
 * value mappings are passed over. */
function shower(field: Field, merge: boolean, theme: GrafanaTheme2): (value: unknown) => DisplayValue {
  if (!merge || !isByThreshold(field)) {
    return field.display!;
  }
  const steps = field.config.thresholds!.steps;
  const words = stepsOf(field, theme);
  return (value) => words[steps.indexOf(getActiveThreshold(Number(value), steps))];
}

function legendOf(drawn: Array<{ row: Row; found: Stretch[] }>, theme: GrafanaTheme2) {
  const first = drawn[0].row.field;
  const shown = isByThreshold(first) && first.config.thresholds!.steps.length > 1
    ? stepsOf(first, theme) : drawn.flatMap(({ found }) => found.map((stretch) => stretch.shown));
  const items = shown.map((one) => ({ label: formattedValueToString(one), color: one.color ?? 'grey', yAxis: 1 }));
  return [...new Map(items.map((item) => [item.label, item])).values()];
}

export function StateTimeline({ panel, rows, range, theme, timeZone, width, height }: Drawn & {
  rows: Row[]; width: number; height: number;
}) {
  const options = panel.options ?? {};
  const legend = options.legend?.showLegend === false ? 0 : 28;
  const left = Math.min(width * 0.3, 16 + 7.2 * Math.max(...rows.map(({ name }) => name.length)));
  const [fromMs, toMs] = [range.from.valueOf(), range.to.valueOf()];
  const x = (ms: number) => left + ((Math.min(Math.max(ms, fromMs), toMs) - fromMs) / (toMs - fromMs)) * (width - left - 16);
  const each = (height - AXIS - legend) / rows.length;
  const thick = each * (options.rowHeight ?? 0.9);
  const merge = options.mergeValues ?? true;
  const drawn = rows.map((row) => ({ row, found: stretches(row, shower(row.field, merge, theme), merge) }));
  return (
    <div>
      <svg width={width} height={height - legend} fontFamily={theme.typography.fontFamily} fontSize={12}>
        {drawn.map(({ row, found }, index) => (
          <g key={row.name}>
            <text x={left - 8} y={each * (index + 0.5)} dominantBaseline="middle" textAnchor="end"
              fill={theme.colors.text.primary}>{row.name}</text>
            {found.filter(({ fromMs: a, toMs: b }) => b > fromMs && a < toMs).map(({ fromMs: a, toMs: b, shown }) => (
              <Box key={a} left={x(a)} right={x(b)} top={each * index + (each - thick) / 2} height={thick}
                shown={shown} words={options.showValue ?? 'auto'} alpha={(row.field.config.custom?.fillOpacity ?? 70) / 100}
                dark={theme.colors.text.primary} />
            ))}
          </g>
        ))}
        {ticks(fromMs, toMs, width - left).map((at) => (
          <text key={at} x={x(at)} y={height - legend - 8} textAnchor="middle" fill={theme.colors.text.primary}>
            {dateTimeFormat(at, { format: 'HH:mm', timeZone })}
          </text>
        ))}
      </svg>
      {legend > 0 && <VizLegend items={legendOf(drawn, theme)} placement="bottom" displayMode={'list' as any} />}
    </div>
  );
}

function Box({ left, right, top, height, shown, words, alpha, dark }: {
  left: number; right: number; top: number; height: number; shown: DisplayValue; words: string; alpha: number; dark: string;
}) {
  const text = formattedValueToString(shown);
  const fits = words !== 'never' && right - left > text.length * 7 + 8;
  return (
    <g>
      <rect x={left} y={top} width={Math.max(1, right - left)} height={height} fill={shown.color} fillOpacity={alpha} />
      {fits && <text x={left + 5} y={top + height / 2} dominantBaseline="middle" fill={dark}>{text}</text>}
    </g>
  );
}

function ticks(fromMs: number, toMs: number, width: number): number[] {
  const minutes = [1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
  const wanted = (toMs - fromMs) / 60_000 / Math.max(2, width / 90);
  const stepMs = (minutes.find((step) => step >= wanted) ?? 1440) * 60_000;
  const found: number[] = [];
  for (let at = Math.ceil(fromMs / stepMs) * stepMs; at <= toMs; at += stepMs) {
    found.push(at);
  }
  return found;
}
