/** The order of fence and lines, with the keeper in this process and its clock in the test's hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MasterIpParams } from '../../drivers/types.ts';
import { connectKeeper, type KeeperClient } from '../keeper-client.ts';
import { detectFreezer } from './freezer.ts';
import { Keeper } from './keeper.ts';
import { beginBoot, readKeeperFile } from './keeper-file.ts';
import { isDead, relay } from './keeper-harness.ts';

const address: MasterIpParams = { netdev: 'lo', ip: '192.0.2.9', netmask: 32, family: 4, script: '' };

test('a fresh lease that waits behind a passed deadline saves nobody; the master address goes with the deadline', {
  timeout: 20_000,
}, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'keeper-order-'));
  const server = createServer();
  const client = new Promise<KeeperClient>((resolve, reject) => {
    server.on('connection', (socket) => {
      socket.once('data', () => connectKeeper({ stream: socket }).then(resolve, reject));
    });
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 'agent.sock'), resolve));
  const clock = { now_ms: 50_000 };
  const seen: string[] = [];
  const { path, file } = beginBoot(dir, 'boot');
  const keeper = new Keeper({
    agent_argv: [process.execPath, '-e', relay, join(dir, 'agent.sock')],
    env: process.env,
    file_path: path,
    file,
    freezer: detectFreezer(dir, process.getuid?.() ?? -1),
    now_ms: () => clock.now_ms,
    masterIpDriver: async () => ({
      stop: async (params) => void seen.push(`stop ${params.ip}`),
      holds: async () => false,
    }),
    log: () => undefined,
  });
  keeper.start();
  try {
    const agent = await client;
    agent.onMasterDropped((params, error) => seen.push(`told ${params.ip}${error}`));
    agent.setLease(60_000, 2000, false);
    await agent.setMaster(60_000, address);
    assert.deepEqual(readKeeperFile(path)?.master, address, 'on disk before the agent may start it');
    const { pid } = await agent.spawn({
      name: 'guest/web',
      tag: 'web:1',
      argv: ['sleep', '3600'],
      env: {},
      cwd: dir,
      log_file: join(dir, 'web.log'),
      protected: true,
    });
    const fenced = new Promise((resolve) => agent.onFenced(resolve));
    clock.now_ms = 61_000;
    agent.setLease(70_000, 2000, false);
    assert.deepEqual(await fenced, { frozen: [], killed: ['guest/web'] });
    await agent.kill('guest/web', 5000);
    assert.ok(isDead(pid));
    await agent.setMaster(0, null);
    assert.deepEqual(seen, ['stop 192.0.2.9', 'told 192.0.2.9']);
    assert.equal(readKeeperFile(path)?.master, null);
  } finally {
    await keeper.end();
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  }
});
