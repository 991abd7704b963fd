/**
 * Bundles what the launchers in bin/ run, into dist/: the `skein` command, the agent and its keeper. Runs on the
 * system's own Node too (18 and later), because npm's `prepare` does. Same sources, same bytes; each file appears
 * whole or not at all, so builds may run side by side with each other and with tests.
 * Must never fail an installation that lacks esbuild but has a build.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sourcemap = process.argv.includes('--sourcemap') ? 'inline' : false;

/** Packages with native parts stay outside and are found in node_modules at run time. */
const external = ['level', 'classic-level', 'msgpackr'];
/** CommonJS packages inside an ESM bundle still call require() for Node's own modules. */
const require_banner =
  "import{createRequire as __skeinRequire}from'node:module';const require=__skeinRequire(import.meta.url);";

/** CommonJS has no import.meta: sources find their own place through this. */
const cjs = {
  format: 'cjs',
  minify: true,
  external,
  define: { 'import.meta.url': '__skeinUrl' },
  banner: { js: "const __skeinUrl=require('node:url').pathToFileURL(__filename).href;" },
};

const bundles = [
  { entry: 'cli/main.ts', out: 'skein.cjs', ...cjs },
  { entry: 'cli/htools/main.ts', out: 'htools.cjs', ...cjs },
  {
    entry: 'src/node/main.ts',
    out: 'agent.mjs',
    format: 'esm',
    minify: false,
    external,
    banner: { js: require_banner },
  },
  {
    entry: 'src/node/placement-thread.ts',
    out: 'placement-thread.mjs',
    format: 'esm',
    minify: true,
  },
  { entry: 'src/node/keeper/main.ts', out: 'keeper.cjs', ...cjs },
];

/** Files that sources look for beside themselves: copied beside the bundles. */
const assets = ['src/drivers/master-ip/master-ip-setup', 'src/drivers/os/definitions'];

function putWhole(path, bytes, mode = 0o644) {
  if (existsSync(path) && readFileSync(path).equals(bytes) && (statSync(path).mode & 0o777) === mode) return;
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(temporary, bytes);
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function copyAsset(from, to) {
  if (!existsSync(from)) return;
  const stats = statSync(from);
  if (!stats.isDirectory()) {
    putWhole(to, readFileSync(from), stats.mode & 0o777);
    return;
  }
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) copyAsset(join(from, name), join(to, name));
}

async function loadEsbuild() {
  try {
    return await import('esbuild');
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return null;
  }
}

async function build(esbuild, bundle) {
  const { entry, out, ...options } = bundle;
  if (!existsSync(join(root, entry))) {
    console.log(`build: ${entry} does not exist: ${out} skipped`);
    return;
  }
  const result = await esbuild.build({
    ...options,
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: join('dist', out),
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    sourcemap,
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const file of result.outputFiles) putWhole(file.path, Buffer.from(file.contents));
}

const esbuild = await loadEsbuild();
if (esbuild) {
  mkdirSync(join(root, 'dist'), { recursive: true });
  for (const asset of assets) copyAsset(join(root, asset), join(root, 'dist', basename(asset)));
  const outcomes = await Promise.allSettled(bundles.map((bundle) => build(esbuild, bundle)));
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  for (const failure of failures) console.error(`build: ${failure.reason?.message ?? failure.reason}`);
  if (failures.length > 0) process.exitCode = 1;
} else {
  console.log('build: esbuild is not installed: nothing built. Try: npm ci (without --omit=dev)');
}
