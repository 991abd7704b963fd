// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the sources under test hold templates
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blanked, checkBoundaries } from './boundaries.ts';

/** [what, file, source, the lines where a breach is reported] */
const cases: readonly (readonly [string, string, string, readonly number[]])[] = [
  // clock, chance, I/O
  ['Date.now in the core', 'src/consensus/core.ts', 'const a = 1;\nconst t = Date.now();\n', [2]],
  ['new Date() in config', 'src/config/a.ts', 'const t = new Date();\n', [1]],
  ['new Date(x) computes', 'src/config/a.ts', 'const t = new Date(5);\n', []],
  ['setTimeout in ops', 'src/ops/a.ts', '\n\nsetTimeout(() => 1, 5);\n', [3]],
  ['clearInterval in sim', 'sim/world.ts', 'clearInterval(x);\n', [1]],
  ['Math.random in placement', 'src/placement/a.ts', 'const r = Math\n  .random();\n', [1]],
  ['process.env in node', 'src/node/lease.ts', 'const p = process.env;\n', [1]],
  ['console in config', 'src/config/a.ts', "console.log('x');\n", [1]],
  ['performance in node', 'src/node/lease.ts', 'performance.now();\n', [1]],
  ['crypto.randomUUID', 'src/ops/a.ts', 'crypto.randomUUID();\n', [1]],
  ['globalThis', 'src/ops/a.ts', "globalThis['Date'];\n", [1]],
  ['inside a template', 'src/ops/a.ts', 'const t = `${Date.now()} and text`;\n', [1]],
  ['after a template', 'src/ops/a.ts', 'const t = `${{ a: `x` }.a}`;\nDate.now();\n', [2]],
  ['after a regular expression with a quote', 'src/ops/a.ts', 'const r = /[\'"/]/;\nDate.now();\n', [2]],
  ['fs in node', 'src/node/lease.ts', "import { readFile } from 'node:fs/promises';\n", [1]],
  ['fs without its prefix', 'src/node/lease.ts', "import fs from 'fs';\n", [1]],
  ['bare import', 'src/ops/a.ts', "import 'node:net';\n", [1]],
  ['dynamic import', 'src/ops/a.ts', "const m = await import('node:net');\n", [1]],
  ['computed import', 'src/ops/a.ts', 'const m = await import(name);\n', [1]],
  ['re-export', 'src/ops/a.ts', "export * from 'node:os';\n", [1]],
  ['level in ops', 'src/ops/a.ts', "import { Level } from 'level';\n", [1]],
  ['libp2p in node', 'src/node/lease.ts', "import { createLibp2p } from 'libp2p';\n", [1]],
  [
    'randomBytes beside createHash',
    'src/config/a.ts',
    "import { createHash, randomBytes } from 'node:crypto';\n",
    [1],
  ],
  ['createHash computes', 'src/config/a.ts', "import { createHash } from 'node:crypto';\n", []],
  [
    'types of I/O modules',
    'src/ops/a.ts',
    "import type { Socket } from 'node:net';\nimport { type Server } from 'node:net';\n",
    [],
  ],
  ['a word in a comment', 'src/ops/a.ts', '// not Date.now()\n/* setTimeout\n */\n', []],
  [
    'a word in a string',
    'src/ops/a.ts',
    "const s = 'Date.now() setTimeout';\nconst t = `Math.random()`;\n",
    [],
  ],
  ['a member of that name', 'src/ops/a.ts', 'env.setTimeout(1);\nworld.process.list();\n', []],
  ['drivers may', 'src/drivers/kvm/a.ts', "import { spawn } from 'node:child_process';\nDate.now();\n", []],
  ['listed files of node may', 'src/node/real-env.ts', 'Date.now();\n', []],
  ['the keeper may', 'src/node/keeper/main.ts', "import 'node:fs';\nprocess.exit(1);\n", []],
  ['a file that is only named alike may not', 'src/node/actions/real-env.ts', 'Date.now();\n', [1]],
  ['the command line may', 'cli/main.ts', 'process.exit(Date.now());\n', []],
  ['tests may', 'src/config/a.test.ts', "import 'node:fs';\nDate.now();\n", []],
  // who may import whom
  [
    'consensus imports config types',
    'src/consensus/core.ts',
    "import type { Job } from '../config/model.ts';\n",
    [1],
  ],
  ['config imports consensus', 'src/config/a.ts', "import { x } from '../consensus/types.ts';\n", [1]],
  ['a folder imports itself', 'src/config/a.ts', "import { x } from './b.ts';\n", []],
  [
    'placement imports config types',
    'src/placement/a.ts',
    "import type { Node } from '../config/model.ts';\n",
    [],
  ],
  [
    'placement imports config values',
    'src/placement/a.ts',
    "import { jobKey } from '../config/keys.ts';\n",
    [1],
  ],
  [
    'placement mixes values in',
    'src/placement/a.ts',
    "import { type Node, jobKey } from '../config/keys.ts';\n",
    [1],
  ],
  ['drivers import node', 'src/drivers/a.ts', "import type { X } from '../node/agent.ts';\n", [1]],
  ['ops imports config values', 'src/ops/a.ts', "import { jobKey } from '../config/keys.ts';\n", []],
  [
    'ops imports the types of drivers',
    'src/ops/a.ts',
    "import type { X } from '../drivers/kvm/kvm.ts';\n",
    [],
  ],
  ['ops imports a driver', 'src/ops/a.ts', "import {\n  kvm,\n} from '../drivers/kvm/kvm.ts';\n", [1]],
  ['ops imports node', 'src/ops/a.ts', "\nimport type { X } from '../node/agent.ts';\n", [2]],
  [
    'ops imports a type inline',
    'src/ops/a.ts',
    "interface A {\n  a: import('../drivers/kvm/kvm.ts').B;\n}\n",
    [],
  ],
  ['node imports anything under src', 'src/node/a.ts', "import { kvm } from '../drivers/kvm/kvm.ts';\n", []],
  ['node imports the command line', 'src/node/a.ts', "import { x } from '../../cli/main.ts';\n", [1]],
  ['cli imports the API types', 'cli/a.ts', "import { x } from '../src/node/api-types.ts';\n", []],
  ['cli imports the agent', 'cli/a.ts', "import { x } from '../src/node/agent.ts';\n", [1]],
  ['sim imports everything', 'sim/a.ts', "import { x } from '../src/node/agent.ts';\n", []],
];

describe('boundaries', () => {
  for (const [what, file, source, lines] of cases) {
    it(what, () => {
      const found = checkBoundaries(file, source);
      assert.deepEqual(
        found.map((one) => one.line),
        lines,
        JSON.stringify(found),
      );
      for (const one of found) assert.equal(one.file, file);
    });
  }

  it('says what is wrong and what was expected', () => {
    const [clock] = checkBoundaries('src/ops/a.ts', 'Date.now();\n');
    assert.match(clock!.message, /Date\.now is not allowed here: expected the time/);
    const [wall] = checkBoundaries('src/config/a.ts', "import { x } from '../node/agent.ts';\n");
    assert.match(wall!.message, /src\/config\/ must not import src\/node\/agent\.ts/);
  });

  it('keeps every offset and line when it blanks', () => {
    const source = "const a = 'x\\'y'; // c\nconst b = `t${a + `n`}t`;\nconst d = a / 2 / b;\n";
    const code = blanked(source);
    assert.equal(code.length, source.length);
    assert.equal(code.split('\n').length, source.split('\n').length);
    assert.match(code, /const d = a \/ 2 \/ b;/);
    assert.match(code, /\$\{a \+ ` `\}/);
    assert.doesNotMatch(code, /x|y|c$/m);
  });
});
