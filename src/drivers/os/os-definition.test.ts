import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { commonApiVersion, default_os_paths, listOsDefinitions, readOsDefinition } from './os-definition.ts';

const scripts = ['create', 'import', 'export', 'rename', 'verify'];
const valid: Readonly<Record<string, string>> = {
  ganeti_api_version: '20\n15\n10\n',
  'variants.list': '# all of them\n\nsmall\nlarge\n',
  'parameters.list': 'Disk-Kind  What kind\nplain\n',
};

/** Makes a definition of the given files (undefined: left out) and reads it. */
async function read(
  changes: Readonly<Record<string, string | undefined>>,
  modes: Readonly<Record<string, number>> = {},
) {
  const top = await mkdtemp(join(tmpdir(), 'os-'));
  try {
    const dir = join(top, 'demo');
    await mkdir(dir);
    const files: Record<string, string | undefined> = {
      ...valid,
      ...Object.fromEntries(scripts.map((name) => [name, '#!/bin/sh\n'])),
      ...changes,
    };
    for (const [name, text] of Object.entries(files)) {
      if (text === undefined) continue;
      await writeFile(join(dir, name), text);
      await chmod(join(dir, name), modes[name] ?? (scripts.includes(name) ? 0o755 : 0o644));
    }
    return await readOsDefinition(dir, 'demo');
  } finally {
    await rm(top, { recursive: true });
  }
}

test('a valid definition: versions, variants, parameters in lower case', async () => {
  const definition = await read({});
  assert.deepEqual(
    { ...definition, path: '' },
    {
      name: 'demo',
      path: '',
      api_versions: [20, 15, 10],
      variants: ['small', 'large'],
      parameters: [
        { name: 'disk-kind', description: 'What kind' },
        { name: 'plain', description: '' },
      ],
      valid: true,
      reason: '',
    },
  );
});

const table: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
  ['no version file', { ganeti_api_version: undefined }, /"ganeti_api_version" is missing/],
  ['a version that is no number', { ganeti_api_version: 'twenty' }, /line "twenty", expected a number/],
  [
    'only versions we do not speak',
    { ganeti_api_version: '5\n99' },
    /API versions 99, 5: expected one of 10, 15, 20/,
  ],
  ['no create', { create: undefined }, /script "create" is missing/],
  ['no export', { export: undefined }, /script "export" is missing/],
  ['version 20 without verify', { verify: undefined }, /script "verify" is missing/],
  ['version 20 without parameters.list', { 'parameters.list': undefined }, /"parameters.list" is missing/],
  [
    'version 15 without variants',
    { ganeti_api_version: '15', 'variants.list': '# none\n' },
    /at least one variant/,
  ],
  [
    'only create_untrusted',
    { create: undefined, create_untrusted: '#!/bin/sh' },
    /create_untrusted.*not supported yet/,
  ],
];
for (const [what, changes, reason] of table) {
  test(`not valid: ${what}`, async () => {
    const definition = await read(changes);
    assert.equal(definition.valid, false);
    assert.match(definition.reason, reason);
  });
}

test('a script that cannot be executed is named', async () => {
  const definition = await read({}, { create: 0o644 });
  assert.match(definition.reason, /script "create" is not executable/);
});

test('older versions need less', async () => {
  const ten = await read({
    ganeti_api_version: '10',
    verify: undefined,
    'parameters.list': undefined,
    'variants.list': undefined,
  });
  assert.equal(ten.valid, true, ten.reason);
  assert.equal(commonApiVersion(ten), 10);
  assert.equal(commonApiVersion({ api_versions: [99, 15, 5] }), 15);
  assert.equal((await read({ 'variants.list': undefined })).valid, true);
});

test('the first path that has a name wins; a missing path and stray files are passed over', async (t) => {
  const top = await mkdtemp(join(tmpdir(), 'os-'));
  t.after(() => rm(top, { recursive: true }));
  for (const name of ['a/same', 'b/same', 'b/other']) await mkdir(join(top, name), { recursive: true });
  await writeFile(join(top, 'a', 'README'), 'not a definition');
  const list = await listOsDefinitions([join(top, 'none'), join(top, 'a'), join(top, 'b')]);
  assert.deepEqual(
    list.map(({ name, path, valid: ok }) => [name, path, ok]),
    [
      ['other', join(top, 'b/other'), false],
      ['same', join(top, 'a/same'), false],
    ],
  );
});

test('an entry that cannot be looked at is told with the reason, not left out', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'skein-os-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  await symlink('loop', join(path, 'loop'));
  const [definition] = await listOsDefinitions([path]);
  assert.equal(definition?.name, 'loop');
  assert.equal(definition.valid, false);
  assert.match(definition.reason, /ELOOP/);
});

test('our own definition is valid', async () => {
  const own = (await listOsDefinitions(default_os_paths)).find((one) => one.name === 'skein-busybox');
  assert.equal(own?.reason, '');
  assert.deepEqual(own?.variants, ['default']);
});

const debian = '/usr/share/ganeti/os';
for (const [name, package_name] of [
  ['noop', 'ganeti-os-noop'],
  ['debootstrap', 'ganeti-instance-debootstrap'],
] as const) {
  test(`Debian's ${name} is valid unchanged`, {
    skip: existsSync(join(debian, name)) ? false : `needs the Debian package ${package_name}`,
  }, async () => {
    const found = (await listOsDefinitions([debian])).find((one) => one.name === name);
    assert.equal(found?.reason, '');
    assert.equal(found?.valid, true);
  });
}
