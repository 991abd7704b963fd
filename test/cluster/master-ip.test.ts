/**
 * The master IP as IPv6, and by an operator's script: one that works, one that fails and one that hangs. The cluster
 * leads on in every case, says what is wrong, and mends itself when the script does.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  assertCommits,
  cliOk,
  holdsMasterIp,
  killAgent,
  type Lab,
  leaderOf,
  othersThan,
  sameState,
  statusOf,
  suiteLab,
  waitUntil,
  withLab,
} from './support.ts';
import { MasterIpWatch } from './support-master-ip.ts';

test('IPv6: the leader answers on it, and after its death the next one', { timeout: 120_000 }, async (t) => {
  const lab = await withLab(t, { master_ip: 'fd77::100' });
  const old = await leaderOf(lab);
  const watch = new MasterIpWatch(lab);
  t.after(() => watch.stop());
  await watch.answeredBy(old);
  const killed_ms = Date.now();
  await killAgent(lab, old);
  const next = await leaderOf(lab, { among: othersThan(lab, old) });
  const answer = await watch.answeredBy(next, killed_ms);
  t.diagnostic(`${next} answered on ${lab.master_ip} ${answer.at_ms - killed_ms} ms after the kill`);
  await waitUntil(async () => !(await holdsMasterIp(lab, old)), `${old} to let go of it`);
  await waitUntil(async () => (await statusOf(lab, old))?.leader === next, `${old} to follow ${next}`);
  assert.equal(await holdsMasterIp(lab, next), true);
  assert.deepEqual(watch.names(answer.at_ms), [next]);
});

type Mode = 'ok' | 'fail-start' | 'hang-start' | 'fail-stop' | 'hang-stop';

describe("an operator's master-IP script", { timeout: 300_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'skt-mip-'));
  const script = join(dir, 'master-ip-setup');
  const mode_file = join(dir, 'mode');
  const calls_file = join(dir, 'calls');
  const earlier = process.env.SKEIN_MASTER_IP_SCRIPT;
  // Agents of a lab inherit this process's environment.
  process.env.SKEIN_MASTER_IP_SCRIPT = script;
  const started = suiteLab();
  let lab: Lab;

  function setMode(mode: Mode): void {
    writeFileSync(mode_file, mode);
  }
  /** `n1 start fd00::1/64 br0` and so on, in order. */
  function calls(): readonly string[] {
    return existsSync(calls_file) ? readFileSync(calls_file, 'utf8').trimEnd().split('\n') : [];
  }
  const warning = async (name: string): Promise<string> =>
    (await statusOf(lab, name))?.warnings.find((text) => text.includes('master IP')) ?? '';

  before(async () => {
    setMode('ok');
    writeFileSync(
      script,
      `#!/bin/sh
mode=$(cat ${mode_file})
host=n$(ip -4 -o addr show dev br0 | sed -n 's/.* 10\\.77\\.0\\.\\([0-9]*\\)\\/24 .*/\\1/p' | head -n 1)
echo "$host $1 $MASTER_IP/$MASTER_NETMASK $MASTER_NETDEV $CLUSTER_IP_VERSION" >>${calls_file}
case "$mode" in
  "fail-$1") echo "the router says no to $1" >&2; exit 3 ;;
  "hang-$1") exec sleep 600 ;;
esac
case "$1" in
  start)
    ip addr replace "$MASTER_IP/$MASTER_NETMASK" dev "$MASTER_NETDEV"
    (exec </dev/null >/dev/null 2>&1; arping -q -c 2 -w 2 -U -I "$MASTER_NETDEV" "$MASTER_IP") &
    ;;
  stop) ip addr del "$MASTER_IP/$MASTER_NETMASK" dev "$MASTER_NETDEV" 2>/dev/null || : ;;
esac
`,
    );
    chmodSync(script, 0o755);
    lab = started();
  });
  after(() => {
    if (earlier === undefined) delete process.env.SKEIN_MASTER_IP_SCRIPT;
    else process.env.SKEIN_MASTER_IP_SCRIPT = earlier;
    rmSync(dir, { recursive: true, force: true });
  });

  /** Hands the lead to another node; its name. */
  async function handOver(old: string): Promise<string> {
    const [to = ''] = othersThan(lab, old);
    await lab.node(old).call('raft.transfer', { to });
    await waitUntil(async () => (await leaderOf(lab)) === to, `${to} to lead`);
    return to;
  }

  test('it takes the place of the built-in one, with the same words and environment', async () => {
    const leader = await leaderOf(lab);
    await waitUntil(() => holdsMasterIp(lab, leader), 'the address to be held');
    assert.deepEqual(calls(), [], 'not asked for yet');
    await cliOk(lab, 'n2', ['cluster', 'modify', '--use-external-mip-script', 'yes']);
    await waitUntil(
      () => calls().includes(`${leader} start 10.77.0.100/24 br0 4`),
      'the script to be started',
    );
    await waitUntil(() => holdsMasterIp(lab, leader), 'the address to be held');
    const next = await handOver(leader);
    await waitUntil(async () => !(await holdsMasterIp(lab, leader)), `${leader} to let go of the address`);
    await waitUntil(() => holdsMasterIp(lab, next), `${next} to hold the address`);
    assert.ok(calls().includes(`${leader} stop 10.77.0.100/24 br0 4`), calls().join('; '));
    assert.ok(calls().includes(`${next} start 10.77.0.100/24 br0 4`), calls().join('; '));
    await sameState(lab);
  });

  test('a start that fails: it leads on without the address, says so, and tries again', async () => {
    const old = await leaderOf(lab);
    setMode('fail-start');
    const next = await handOver(old);
    const text = await waitUntil(async () => (await warning(next)) || null, 'a warning in the status');
    assert.match(text, /start script failed/);
    assert.match(text, /the router says no to start/);
    await assertCommits(lab, next);
    assert.equal(await holdsMasterIp(lab, next), false);
    setMode('ok');
    await waitUntil(() => holdsMasterIp(lab, next), 'the address to be held once the script works');
    await waitUntil(async () => (await warning(next)) === '', 'the warning to go');
  });

  test('a start that hangs: it leads on, the script is ended, and the address comes once it works', async () => {
    const old = await leaderOf(lab);
    setMode('hang-start');
    const next = await handOver(old);
    await assertCommits(lab, next);
    const text = await waitUntil(async () => (await warning(next)) || null, 'a warning in the status');
    assert.match(text, /start script failed/);
    setMode('ok');
    await waitUntil(() => holdsMasterIp(lab, next), 'the address to be held once the script works');
  });

  for (const mode of ['fail-stop', 'hang-stop'] as const) {
    test(`${mode}: the address is removed all the same, and not taken again here before a stop has succeeded`, async (t) => {
      const old = await leaderOf(lab);
      await waitUntil(() => holdsMasterIp(lab, old), `${old} to hold the address`);
      const watch = new MasterIpWatch(lab);
      t.after(() => watch.stop());
      await watch.answeredBy(old);
      setMode(mode);
      const next = await handOver(old);
      const led_ms = Date.now();
      await assertCommits(lab, next);
      await waitUntil(async () => !(await holdsMasterIp(lab, old)), `${old} to lose the address`);
      t.diagnostic(`${old} was without the address ${Date.now() - led_ms} ms after ${next} led`);
      await watch.answeredBy(next, led_ms);
      assert.match(
        await waitUntil(async () => (await warning(old)) || null, 'a warning'),
        /stop script failed/,
      );
      // It may lead, but not take the address while its stop does not work.
      await lab.node(next).call('raft.transfer', { to: old });
      await waitUntil(async () => (await leaderOf(lab)) === old, `${old} to lead again`);
      await assertCommits(lab, old);
      assert.equal(await holdsMasterIp(lab, old), false);
      setMode('ok');
      await waitUntil(() => holdsMasterIp(lab, old), 'the address to be held once the script works');
      await waitUntil(async () => !(await holdsMasterIp(lab, next)), `${next} to lose the address`);
      // A host whose stop failed tries it again by and by; until that worked it would not take the address.
      await waitUntil(async () => (await warning(next)) === '', `${next} to have stopped properly`);
      await sameState(lab);
    });
  }
});
