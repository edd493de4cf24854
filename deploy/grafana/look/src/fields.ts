// Field settings, overrides and transformations of a panel, worked out by @grafana/data.
import {
  applyFieldOverrides, cacheFieldDisplayNames, DataFrame, Field, FieldConfigOptionsRegistry, FieldType, GrafanaTheme2,
  standardTransformers, standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import { take } from 'rxjs/operators';

// What the panel plugins register as the default of their own settings; Grafana's packages do not carry these.
const CUSTOM: Record<string, Record<string, unknown>> = {
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', pointSize: 5,
    showPoints: 'auto', axisPlacement: 'auto', axisColorMode: 'text', axisBorderShow: false, barAlignment: 0,
    spanNulls: false, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' },
    scaleDistribution: { type: 'linear' }, hideFrom: { tooltip: false, viz: false, legend: false },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false, filterable: false },
  'state-timeline': { lineWidth: 0, fillOpacity: 70, spanNulls: false },
  'status-history': { lineWidth: 1, fillOpacity: 70 },
  barchart: { lineWidth: 1, fillOpacity: 80, gradientMode: 'none', axisPlacement: 'auto' },
};

const STANDARD = [
  'displayName', 'unit', 'decimals', 'min', 'max', 'fieldMinMax', 'thresholds', 'mappings', 'noValue', 'links',
  'color', 'description', 'filterable', 'actions',
];

export function startTransformers(): void {
  // By id: joinByField also stands under its old name.
  const known = new Map(Object.values(standardTransformers).map((info: any) => [info.id, info]));
  standardTransformersRegistry.setInit(() =>
    [...known.values()].map((info: any) => ({
      ...info, transformation: () => Promise.resolve(info), editor: () => null, imageDark: '', imageLight: '',
    }))
  );
}

function item(id: string, isCustom: boolean, defaultValue?: unknown): any {
  return {
    id: isCustom ? `custom.${id}` : id, path: id, name: id, isCustom, editor: () => null, override: () => null,
    // An axis has a label for its numbers, none for its time or its words.
    shouldApply: ({ type }: Field) => !id.startsWith('axis') || (type !== FieldType.time && type !== FieldType.string),
    process: (value: unknown) => value ?? defaultValue,
  };
}

function registryOf(panel: any): FieldConfigOptionsRegistry {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const registered = { ...CUSTOM[panel.type] };
  const named = new Set([...Object.keys(registered), ...Object.keys(defaults.custom ?? {})]);
  for (const { properties } of overrides) {
    for (const { id } of properties) {
      if (id.startsWith('custom.')) {
        named.add(id.slice('custom.'.length));
      }
    }
  }
  return new FieldConfigOptionsRegistry(() => [
    ...STANDARD.map((id) => item(id, false)),
    ...[...named].map((id) => item(id, true, registered[id])),
  ]);
}

// JSON knows no -Infinity: the lowest step of a threshold is written as null.
function withLowest(panel: any): any {
  const fixed = structuredClone(panel.fieldConfig ?? { defaults: {}, overrides: [] });
  const all = [fixed.defaults?.thresholds, ...fixed.overrides.flatMap(
    ({ properties }: any) => properties.filter(({ id }: any) => id === 'thresholds').map(({ value }: any) => value))];
  all.forEach((thresholds) => thresholds?.steps?.forEach((step: any) => { step.value = step.value ?? -Infinity; }));
  fixed.defaults.thresholds ??= { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
  fixed.defaults.color ??= { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  return fixed;
}

export async function dress(
  panel: any, frames: DataFrame[], theme: GrafanaTheme2, replace: (text: string) => string, timeZone: string
): Promise<DataFrame[]> {
  const chain = (panel.transformations ?? []).filter((step: any) => !step.disabled);
  const changed = await lastValueFrom(transformDataFrame(chain, frames, { interpolate: replace }).pipe(take(1)));
  const dressed = applyFieldOverrides({
    data: changed, theme, fieldConfig: withLowest(panel), fieldConfigRegistry: registryOf(panel),
    replaceVariables: (text: string) => replace(text ?? ''), timeZone,
  });
  cacheFieldDisplayNames(dressed);
  return dressed;
}
