// The page: a board's head, its variables, its grid of panels, and the line that says what this is.
import { createTheme, DataFrame, dateTime, dateTimeFormat, GrafanaTheme2, ThemeContext, TimeRange } from '@grafana/data';
import { GlobalStyles, Icon, PanelChrome } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { dress, startTransformers } from './fields';
import { Mark, marksOf } from './marks';
import { Panel } from './panels';
import { Ask } from './prometheus';
import { choose, Chosen, interpolate, Words } from './words';
import './page.css';

const LABEL = "preview drawn with Grafana's components, not a Grafana screenshot";
const TIME_ZONE = 'utc';
const [ROW, GAP, EDGE] = [30, 8, 16];

interface Order {
  board: any;
  fromMs: number;
  toMs: number;
  variables: Record<string, string>;
  theme: 'dark' | 'light';
  rows: string[];
  only: string[];
  open: boolean;
  width: number;
}

interface Placed {
  panel: any;
  words: Words;
  left: number;
  top: number;
  width: number;
  height: number;
  frames: DataFrame[];
}

const isNamed = (title: string | undefined, wanted: string[]) =>
  wanted.some((word) => (title ?? '').toLowerCase().includes(word.toLowerCase()));

/** The rows of the board, each with its panels, moved up to where the rows before it end. */
function stacked({ board, rows, open }: Order): any[] {
  const found: any[][] = [[]];
  for (const panel of board.panels ?? []) {
    if (panel.type === 'row') {
      found.push([panel, ...(panel.collapsed && open ? panel.panels ?? [] : [])]);
    } else {
      found[found.length - 1].push(panel);
    }
  }
  let end = 0;
  return found.filter((row) => row.length && (rows.length === 0 || isNamed(row[0].title, rows))).flatMap((row) => {
    const top = Math.min(...row.map(({ gridPos }) => gridPos.y));
    const moved = row.map((panel) => ({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y - top + end } }));
    end = Math.max(...moved.map(({ gridPos }) => gridPos.y + gridPos.h));
    return moved;
  });
}

/** The panels that were asked for; repeated ones once for each value of their variable. */
function flatten(order: Order, words: Words): Array<{ panel: any; words: Words }> {
  return stacked(order).filter(({ title }) => order.only.length === 0 || isNamed(title, order.only))
    .flatMap((panel) => repeated(panel, words));
}

function repeated(panel: any, words: Words): Array<{ panel: any; words: Words }> {
  const chosen = panel.repeat && words.get(panel.repeat);
  if (!chosen) {
    return [{ panel, words }];
  }
  const across = panel.repeatDirection === 'v' ? 1 : Math.min(chosen.values.length, panel.maxPerRow ?? 4);
  const { x, y, w, h } = panel.gridPos;
  return chosen.values.map((value: string, index: number) => ({
    words: new Map(words).set(panel.repeat, { ...chosen, values: [value], isAll: false } as Chosen),
    panel: {
      ...panel,
      gridPos: panel.repeatDirection === 'v'
        ? { x, w, h, y: y + index * h }
        : { x: (index % across) * (24 / across), w: 24 / across, h, y: y + Math.floor(index / across) * h },
    },
  }));
}

function place(panel: any, width: number) {
  const column = (width - 2 * EDGE - 23 * GAP) / 24;
  const { x, y, w, h } = panel.gridPos;
  return {
    left: EDGE + x * (column + GAP), top: y * (ROW + GAP),
    width: Math.round(w * column + (w - 1) * GAP), height: h * ROW + (h - 1) * GAP,
  };
}

async function fill(order: Order, ask: Ask, words: Words, theme: GrafanaTheme2): Promise<Placed[]> {
  const placed = flatten(order, words).map(({ panel, words }) => ({ panel, words, ...place(panel, order.width) }));
  return Promise.all(placed.map(async (one) => {
    const replace = replacer(order, one.words);
    try {
      const frames = await framesOf(one.panel, one.width, ask, replace);
      return { ...one, frames: await dress(one.panel, frames, theme, replace, TIME_ZONE) };
    } catch (error) {
      ask.complaints.push(`panel ${one.panel.title}: ${error}`);
      return { ...one, frames: [] };
    }
  }));
}

async function framesOf(panel: any, width: number, ask: Ask, replace: (text: string, extra?: any) => string): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []).filter((target: any) => !target.hide && target.expr);
  const answers = await Promise.all(targets.map((target: any) => {
    const stepMs = ask.stepMs(panel.maxDataPoints ?? width, target.interval || panel.interval);
    return ask.frames(target, replace(target.expr, ask.times(stepMs)), stepMs, targets.length === 1);
  }));
  return answers.flat();
}

function replacer({ fromMs, toMs }: Order, words: Words) {
  const range = { __from: String(fromMs), __to: String(toMs), __url_time_range: `from=${fromMs}&to=${toMs}` };
  return (text: string, extra: Record<string, string> = {}) => interpolate(text, words, { ...range, ...extra });
}

function Head({ order, words }: { order: Order; words: Words }) {
  const { board, fromMs, toMs } = order;
  const shown = [...words.values()].filter(({ variable }) => variable.hide !== 2 && variable.type !== 'datasource');
  const at = (ms: number) => dateTimeFormat(ms, { format: 'YYYY-MM-DD HH:mm', timeZone: TIME_ZONE });
  return (
    <header className="look-head">
      <h1>{board.title}</h1>
      {shown.map(({ variable, values, isAll }) => (
        <span key={variable.name} className="look-variable">
          <label>{variable.label || variable.name}</label><b>{isAll ? 'All' : values.join(' + ')}</b>
        </span>
      ))}
      {(board.links ?? []).map((link: any) => <span key={link.title} className="look-link"><Icon name="external-link-alt" /> {link.title}</span>)}
      {(board.annotations?.list ?? []).filter((query: any) => query.enable !== false && !query.hide && query.expr).map((query: any) => (
        <span key={query.name} className="look-link"><i style={{ background: query.iconColor }} /> {query.name}</span>
      ))}
      <span className="look-range"><Icon name="clock-nine" /> {at(fromMs)} to {at(toMs)} UTC</span>
    </header>
  );
}

function Row({ panel, words, order, left, top, width }: Placed & { order: Order }) {
  const isClosed = panel.collapsed && !order.open;
  return (
    <div className="look-row" style={{ left, top, width }}>
      <Icon name={isClosed ? 'angle-right' : 'angle-down'} /> {replacer(order, words)(panel.title ?? '')}
      {isClosed && <small>({panel.panels?.length ?? 0} panels)</small>}
    </div>
  );
}

function Board({ order, placed, marks, words, theme }: {
  order: Order; placed: Placed[]; marks: Mark[]; words: Words; theme: GrafanaTheme2;
}) {
  const range: TimeRange = { from: dateTime(order.fromMs), to: dateTime(order.toMs), raw: { from: 'now-6h', to: 'now' } };
  const highest = Math.min(...placed.map(({ top }) => top));
  const lowest = Math.max(...placed.map(({ top, height }) => top + height)) - highest;
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles isExtensionSidebarOpen={false} />
      <main className="look" style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary }}>
        <Head order={order} words={words} />
        <div className="look-grid" style={{ height: lowest }}>
          {placed.map((one, index) => {
            const top = one.top - highest;
            const replace = replacer(order, one.words);
            return one.panel.type === 'row' ? <Row key={index} {...one} top={top} order={order} /> : (
              <div key={index} className="look-panel" style={{ left: one.left, top, width: one.width, height: one.height }}>
                <PanelChrome width={one.width} height={one.height} title={replace(one.panel.title ?? '')}
                  description={one.panel.description} displayMode={one.panel.transparent ? 'transparent' : 'default'}
                  padding={one.panel.type === 'stat' ? 'none' : 'md'}>
                  {(width, height) => (
                    <Panel panel={one.panel} frames={one.frames} marks={marks.filter(({ isOn }) => isOn(one.panel.id))} range={range} theme={theme}
                      timeZone={TIME_ZONE} replace={replace} width={width} height={height} />
                  )}
                </PanelChrome>
              </div>
            );
          })}
        </div>
        <footer className="look-foot">{LABEL}</footer>
      </main>
    </ThemeContext.Provider>
  );
}

/** Canvases do not wait for a font: it must be there before anything is drawn. */
async function loadFonts(): Promise<void> {
  for (const [file, weight] of [['Regular', '400'], ['Medium', '500']]) {
    const face = new FontFace('Inter', `url(/public/fonts/inter/Inter-${file}.woff2)`, { weight });
    document.fonts.add(await face.load());
  }
}

async function draw(): Promise<void> {
  await loadFonts();
  const order: Order = await (await fetch('/order.json')).json();
  const theme = createTheme({ colors: { mode: order.theme } });
  startTransformers();
  const ask = new Ask(order.fromMs, order.toMs);
  const words = await choose(order.board.templating?.list ?? [], order.variables, ask);
  const placed = await fill(order, ask, words, theme);
  const marks = await marksOf(order.board, ask, replacer(order, words));
  createRoot(document.getElementById('root')!).render(
    <Board order={order} placed={placed} marks={marks} words={words} theme={theme} />
  );
  setTimeout(() => {
    const height = Math.ceil(document.querySelector('main')!.getBoundingClientRect().height);
    (window as any).drawn = { height, complaints: [...new Set(ask.complaints)] };
  }, 500);
}

draw().catch((error) => {
  document.body.textContent = String(error);
  console.error(error);
  (window as any).drawn = { height: 200, complaints: [String(error)] };
});
