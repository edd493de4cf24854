// Serves one board as a page, lets a headless Chromium draw it and saves the picture. See README.md.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const here = dirname(fileURLToPath(import.meta.url));
const USAGE = `look.sh BOARD.json PROMETHEUS_URL OUT.png [options]
  --from T --to T      RFC 3339, epoch seconds, now, now-6h; without them the board's own time range
  --var NAME=VALUE     a variable of the board, more than once if need be
  --row TITLE          only the rows whose title contains this, with their panels; more than once if need be
  --only TITLE         only the panels whose title contains this, where they stand; more than once if need be
  --open               collapsed rows are drawn open
  --theme dark|light   (dark)
  --width PIXELS       (1600)
  --scrape SECONDS     how often that Prometheus scrapes, as a data source says (15)
  --limit KB           a picture is not larger than this (195)`;

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string' }, to: { type: 'string' }, var: { type: 'string', multiple: true, default: [] },
    row: { type: 'string', multiple: true, default: [] }, only: { type: 'string', multiple: true, default: [] },
    open: { type: 'boolean', default: false },
    theme: { type: 'string', default: 'dark' }, width: { type: 'string', default: '1600' },
    scrape: { type: 'string', default: '15' }, limit: { type: 'string', default: '195' },
  },
});
if (positionals.length !== 3) {
  console.error(USAGE);
  process.exit(2);
}
const [boardPath, prometheus, outPath] = positionals;

/** Milliseconds since the epoch of `now-6h`, a time or a number of seconds. */
function moment(text, nowMs) {
  const relative = /^now(?:-(\d+)([smhd]))?(?:\/[smhdw])?$/.exec(text);
  if (relative) {
    const unit = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[relative[2]] ?? 0;
    return nowMs - Number(relative[1] ?? 0) * unit;
  }
  const found = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isNaN(found)) {
    throw new Error(`${text}: expected now-6h, an RFC 3339 time or epoch seconds`);
  }
  return found;
}

function order(board) {
  const toMs = moment(given.to ?? board.time?.to ?? 'now', Date.now());
  const fromMs = moment(given.from ?? board.time?.from ?? 'now-6h', given.to ? toMs : Date.now());
  const variables = Object.fromEntries(given.var.map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const { theme, row: rows, only, open, width } = given;
  return { board, fromMs, toMs, variables, theme, rows, only, open, width: Number(width) };
}

async function bundle() {
  const made = await build({
    entryPoints: [join(here, 'src/page.tsx')], bundle: true, write: false, format: 'esm', outdir: '/made',
    jsx: 'automatic', logLevel: 'error', define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis', SCRAPE_S: String(Number(given.scrape)) },
    loader: { '.svg': 'dataurl', '.png': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl', '.eot': 'dataurl', '.gif': 'dataurl' },
  });
  const of = (kind) => made.outputFiles.filter((file) => extname(file.path) === kind).map((file) => file.text).join('\n');
  return { script: of('.js'), style: of('.css') };
}

const ICONS = join(here, 'node_modules/@grafana/ui/dist/public/img/icons/');
const FONTS = join(here, 'node_modules/@fontsource/inter/files/inter-latin-'); // Grafana's font; no package of its own has it
const WEIGHTS = { 'Inter-Regular.woff2': 400, 'Inter-Medium.woff2': 500 };

/** The page, its order, Grafana's icons, and the way to Prometheus. */
function serve({ script, style }, whatToDraw) {
  const fixed = {
    '/': ['text/html', '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css"><div id="root"></div><script type="module" src="/page.js"></script>'],
    '/page.js': ['text/javascript', script],
    '/page.css': ['text/css', style],
    '/order.json': ['application/json', JSON.stringify(whatToDraw)],
  };
  return createServer(async (request, reply) => {
    const path = request.url.split('?')[0];
    try {
      if (fixed[path]) {
        reply.writeHead(200, { 'content-type': fixed[path][0] }).end(fixed[path][1]);
      } else if (path.startsWith('/api/v1/')) {
        const answer = await (await fetch(prometheus.replace(/\/$/, '') + request.url)).text();
        reply.writeHead(200, { 'content-type': 'application/json' }).end(answer);
      } else if (path.includes('/img/icons/')) {
        const icon = readFileSync(join(ICONS, path.split('/img/icons/')[1].replaceAll('..', '')));
        reply.writeHead(200, { 'content-type': 'image/svg+xml' }).end(icon);
      } else if (WEIGHTS[path.split('/').pop()]) {
        const font = readFileSync(`${FONTS}${WEIGHTS[path.split('/').pop()]}-normal.woff2`);
        reply.writeHead(200, { 'content-type': 'font/woff2' }).end(font);
      } else {
        reply.writeHead(404).end();
      }
    } catch (error) {
      reply.writeHead(path.startsWith('/api/') ? 200 : 404).end(JSON.stringify({ status: 'error', error: String(error) }));
    }
  });
}

function browserPath() {
  if (process.env.CHROMIUM) {
    return process.env.CHROMIUM;
  }
  return execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'])
    .toString().trim();
}

async function shoot(port) {
  const browser = await chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox', '--font-render-hinting=none'] });
  try {
    const page = await browser.newPage({ viewport: { width: Number(given.width), height: 900 } });
    page.on('pageerror', (error) => console.error(`page: ${error.stack ?? error.message}`));
    page.on('console', (said) => said.type() === 'error' && !said.text().includes('404')
      && console.error(`page: ${said.text().slice(0, 400)}`));
    page.on('requestfailed', (request) => console.error(`page: ${request.failure()?.errorText}: ${request.url().slice(0, 200)}`));
    page.on('response', (reply) => reply.status() === 404 && console.error(`page: not found: ${reply.url()}`));
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction('window.drawn', undefined, { timeout: 90_000 });
    await page.setViewportSize({ width: Number(given.width), height: await page.evaluate('window.drawn.height') });
    await page.waitForTimeout(1200); // canvases and icons
    return { picture: await page.screenshot(), complaints: await page.evaluate('window.drawn.complaints') };
  } finally {
    await browser.close();
  }
}

/** A palette picture within the limit, as good as it fits. No dither: it hatches what is meant to be flat. */
async function squeeze(picture) {
  let made = picture;
  for (const how of [{ quality: 100 }, { quality: 80 }, { quality: 60 }, { quality: 30 }, { colours: 16 }]) {
    made = await sharp(picture).png({ palette: true, dither: 0, effort: 8, compressionLevel: 9, ...how }).toBuffer();
    if (made.length <= Number(given.limit) * 1000) {
      return made;
    }
  }
  console.error(`${outPath}: over ${given.limit} kB even with 16 colours; draw fewer rows (--row)`);
  return made;
}

const board = JSON.parse(readFileSync(boardPath, 'utf8'));
const server = serve(await bundle(), order(board)).listen(0, '127.0.0.1');
server.keepAliveTimeout = 120_000; // a busy machine: the browser must not find its connection closed
await new Promise((started) => server.once('listening', started));
try {
  const { picture, complaints } = await shoot(server.address().port);
  const small = await squeeze(picture);
  writeFileSync(outPath, small);
  complaints.forEach((complaint) => console.error(complaint));
  console.error(`${outPath}: ${Math.round(small.length / 1000)} kB, ${complaints.length} complaints`);
} finally {
  server.close();
}
