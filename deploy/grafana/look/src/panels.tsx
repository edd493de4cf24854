// One component for each type of panel. TimeSeries, BigValue, BarGauge and the table are Grafana's own; the round
// gauge, the bar chart and the state timeline live in Grafana's plugins, which no package carries: drawn here in their look.
import {
  DataFrame, DisplayValue, FieldType, formattedValueToString, getDisplayValueAlignmentFactors, getFieldDisplayName,
  getFieldDisplayValues, GrafanaTheme2, renderMarkdown, TimeRange, VizOrientation,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, UPlotConfigBuilder, VizRepeater } from '@grafana/ui';
import { TableNG } from '../node_modules/@grafana/ui/dist/esm/components/Table/TableNG/TableNG.mjs';
import { BarChart } from './bars';
import { Mark } from './marks';
import { StateTimeline } from './timeline';

export interface Drawn {
  panel: any;
  frames: DataFrame[];
  marks: Mark[];
  range: TimeRange;
  theme: GrafanaTheme2;
  timeZone: string;
  replace: (text: string) => string;
}

export type Sized = Drawn & { width: number; height: number };

export function Panel(props: Sized) {
  const Body = TYPES[props.panel.type];
  if (!Body) {
    return <Note>{`panel type ${props.panel.type} is not drawn here`}</Note>;
  }
  const isEmpty = props.frames.every((frame) => frame.length === 0);
  if (isEmpty && props.panel.type !== 'text') {
    return <Note>{props.panel.fieldConfig?.defaults?.noValue ?? 'No data'}</Note>;
  }
  return <Body {...props} />;
}

function Note({ children }: { children: string }) {
  return <div className="look-note">{children}</div>;
}

function Series({ panel, frames, marks, range, theme, timeZone, width, height }: Sized) {
  const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [], ...panel.options?.legend };
  return (
    <TimeSeries frames={frames} width={width} height={height} timeRange={range} timeZone={timeZone} legend={legend}
      options={panel.options}>
      {(builder) => { addMarks(builder, marks, theme); return null; }}
    </TimeSeries>
  );
}

const marked = new WeakSet<UPlotConfigBuilder>();

/** Annotations as Grafana draws them: a dashed line and a small triangle, a shade over a region. */
function addMarks(builder: UPlotConfigBuilder, marks: Mark[], theme: GrafanaTheme2): void {
  if (marked.has(builder)) {
    return;
  }
  marked.add(builder);
  builder.addHook('draw', (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height + 10);
    ctx.clip();
    for (const { fromMs, toMs, color } of marks) {
      const [left, right] = [fromMs, toMs].map((at) => Math.round(u.valToPos(at, 'x', true)));
      ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(color);
      ctx.setLineDash([5, 5]);
      for (const x of new Set([left, right])) {
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.globalAlpha = 0.1;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.globalAlpha = 1;
      const foot = bbox.top + bbox.height;
      ctx.fillRect(left, foot, right - left, 5);
      ctx.beginPath();
      ctx.moveTo(left, foot);
      ctx.lineTo(left - 5, foot + 6);
      ctx.lineTo(left + 5, foot + 6);
      ctx.fill();
    }
    ctx.restore();
  });
}

function valuesOf({ panel, frames, theme, timeZone, replace }: Sized, sparkline = false) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, data: frames, theme, timeZone, sparkline,
    reduceOptions: { calcs: ['lastNotNull'], ...panel.options?.reduceOptions },
    replaceVariables: (text: string) => replace(text ?? ''),
  });
}

const orientationOf = (panel: any): VizOrientation => panel.options?.orientation || VizOrientation.Auto;

function Stat(props: Sized) {
  const { panel, theme, width, height } = props;
  const options = panel.options ?? {};
  const values = valuesOf(props, (options.graphMode ?? 'area') !== 'none');
  return (
    <VizRepeater source={values} getValues={() => values} width={width} height={height} renderCounter={0} autoGrid
      orientation={orientationOf(panel)} itemSpacing={3}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors, count }: any) => (
        <BigValue value={value.display} sparkline={value.sparkline} width={width} height={height} theme={theme}
          count={count} alignmentFactors={count > 1 ? alignmentFactors : undefined}
          colorMode={options.colorMode ?? 'value'} graphMode={options.graphMode ?? 'area'}
          justifyMode={options.justifyMode ?? 'auto'} textMode={options.textMode ?? 'auto'} text={options.text}
          disableWideLayout={options.wideLayout === false} />
      )} />
  );
}

function Bars(props: Sized) {
  const { panel, theme, width, height } = props;
  const options = panel.options ?? {};
  const values = valuesOf(props);
  return (
    <VizRepeater source={values} getValues={() => values} width={width} height={height} renderCounter={0}
      orientation={orientationOf(panel)} itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
      minVizWidth={options.minVizWidth ?? 8} minVizHeight={options.minVizHeight ?? 16} maxVizHeight={options.maxVizHeight ?? 300}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, orientation, alignmentFactors }: any) => (
        <BarGauge value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          width={width} height={height} orientation={orientation} theme={theme} alignmentFactors={alignmentFactors}
          displayMode={options.displayMode ?? 'gradient'} showUnfilled={options.showUnfilled ?? true}
          valueDisplayMode={options.valueMode} namePlacement={options.namePlacement} text={options.text} itemSpacing={10}
          lcdCellWidth={12} />
      )} />
  );
}

function Gauges(props: Sized) {
  const { panel, theme, width, height } = props;
  const values = valuesOf(props);
  return (
    <VizRepeater source={values} getValues={() => values} width={width} height={height} renderCounter={0} autoGrid
      orientation={orientationOf(panel)} itemSpacing={8}
      renderValue={({ value, width, height, count }: any) => (
        <Dial value={value.display} field={value.field} width={width} height={height} theme={theme} named={count > 1} />
      )} />
  );
}

function Dial({ value, field, width, height, theme, named }: {
  value: DisplayValue; field: any; width: number; height: number; theme: GrafanaTheme2; named: boolean;
}) {
  const room = height - (named ? 20 : 0);
  const thick = 0.28;
  const radius = Math.max(10, Math.min(width / 2, room / 1.6) / (1 + thick / 2) - 2); // of the middle of the arc
  const middle = radius * (1 + thick / 2) + 2;
  const share = value.percent ?? (value.numeric - (field.min ?? 0)) / ((field.max ?? 100) - (field.min ?? 0));
  const arc = (from: number, to: number) => {
    const [a, b] = [from, to].map((part) => Math.PI * (0.8 + 1.4 * part));
    const at = (angle: number) => `${width / 2 + radius * Math.cos(angle)} ${middle + radius * Math.sin(angle)}`;
    return `M ${at(a)} A ${radius} ${radius} 0 ${b - a > Math.PI ? 1 : 0} 1 ${at(b)}`;
  };
  const stroke = { fill: 'none', strokeWidth: radius * thick };
  return (
    <svg width={width} height={height}>
      <path d={arc(0, 1)} {...stroke} stroke={theme.colors.background.secondary} />
      <path d={arc(0, Math.min(1, Math.max(0.004, share)))} {...stroke} stroke={value.color} />
      <text x={width / 2} y={middle + radius * 0.14} textAnchor="middle" fontSize={radius * 0.4} fontWeight={500}
        fill={value.color}>{formattedValueToString(value)}</text>
      {named && <text x={width / 2} y={height - 6} textAnchor="middle" fontSize={13}
        fill={theme.colors.text.primary}>{value.title}</text>}
    </svg>
  );
}

function Table({ panel, frames, range, width, height }: Sized) {
  const options = panel.options ?? {};
  return (
    <TableNG data={frames[0]} width={width} height={height} timeRange={range} cellHeight={options.cellHeight ?? 'sm'}
      noHeader={options.showHeader === false} showTypeIcons={false} resizable={false} sortBy={options.sortBy}
      fieldConfig={panel.fieldConfig} enableVirtualization={false} frozenColumns={0} structureRev={1} transparent={false} />
  );
}

function Text({ panel, replace }: Sized) {
  const content = replace(panel.options?.content ?? '');
  if (panel.options?.mode === 'code') {
    return <pre>{content}</pre>;
  }
  const html = panel.options?.mode === 'html' ? content : renderMarkdown(content);
  return <div className="markdown-html look-text" dangerouslySetInnerHTML={{ __html: html }} />;
}

function Timeline(props: Sized) {
  const rows = props.frames.flatMap((frame) => {
    const times = frame.fields.find(({ type }) => type === FieldType.time);
    return frame.fields.filter((field) => field !== times && field.type !== FieldType.time).map((field) => ({
      name: getFieldDisplayName(field, frame, props.frames), field, times: times?.values ?? [],
      stepMs: times?.config.interval ?? 15_000,
    }));
  });
  return <StateTimeline {...props} rows={rows} />;
}

const TYPES: Record<string, (props: Sized) => React.JSX.Element> = {
  timeseries: Series, stat: Stat, bargauge: Bars, gauge: Gauges, table: Table, text: Text, 'state-timeline': Timeline,
  'status-history': Timeline,
  barchart: BarChart,
};
