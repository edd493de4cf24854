// The bar chart, one bar for each row and number, in the look of Grafana's: its plugin is in no package.
import { FieldType, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { Sized } from './panels';

const AXIS = 24;

export function BarChart({ panel, frames, theme, width, height }: Sized) {
  const frame = frames[0];
  const named = frame.fields.find((field) => getFieldDisplayName(field, frame) === panel.options?.xField)
    ?? frame.fields.find(({ type }) => type === FieldType.string);
  const numbers = frame.fields.filter(({ type }) => type === FieldType.number);
  const bars = Array.from({ length: frame.length }, (_, row) => numbers.map((field) => ({
    word: named ? formattedValueToString(named.display!(named.values[row])) : '',
    value: Number(field.values[row]), shown: field.display!(field.values[row]),
  }))).flat();
  const left = Math.min(width * 0.4, 16 + 7 * Math.max(...bars.map(({ word }) => word.length)));
  const low = Math.min(0, ...bars.map(({ value }) => value));
  const high = Math.max(0, ...bars.map(({ value }) => value));
  const span = (high - low) * 1.15 || 1; // room for the number beside the longest bar
  const x = (value: number) => left + ((value - low + (low < 0 ? span * 0.12 : 0)) / (span * 1.05)) * (width - left);
  const each = (height - AXIS) / bars.length;
  return (
    <svg width={width} height={height} fontFamily={theme.typography.fontFamily} fontSize={12} fill={theme.colors.text.primary}>
      <line x1={x(0)} x2={x(0)} y1={0} y2={height - AXIS} stroke={theme.colors.border.medium} />
      {bars.map(({ word, value, shown }, index) => (
        <g key={index} transform={`translate(0 ${each * index})`}>
          <text x={left - 8} y={each / 2} textAnchor="end" dominantBaseline="middle">{word}</text>
          <rect x={Math.min(x(0), x(value))} width={Math.max(1, Math.abs(x(value) - x(0)))} y={each * 0.15} height={each * 0.7}
            fill={shown.color} fillOpacity={(numbers[0].config.custom?.fillOpacity ?? 80) / 100} />
          <text x={x(value) + (value < 0 ? -5 : 5)} y={each / 2} textAnchor={value < 0 ? 'end' : 'start'}
            dominantBaseline="middle">{formattedValueToString(shown)}</text>
        </g>
      ))}
      <text x={x(0)} y={height - 8} textAnchor="middle">0</text>
    </svg>
  );
}
