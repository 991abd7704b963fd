/**
 * The format of the shell tests that come with Ganeti's htools: a command, then what it is to print (`>>>`, on standard
 * error `>>>2`; a pattern between slashes, or the text itself; `!` before a pattern: must not match) and its exit code
 * (`>>>= 0`, `>>>= !0`).
 */
export interface ShellTest {
  readonly line: number;
  readonly command: string;
  readonly out: Expectation | null;
  readonly err: Expectation | null;
  readonly exit: { readonly code: number; readonly not: boolean } | null;
}

export type Expectation = { readonly pattern: RegExp; readonly not: boolean } | { readonly text: string };

export function parseShellTests(text: string): readonly ShellTest[] {
  const lines = text.split('\n');
  const tests: ShellTest[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!;
    if (line.trim() === '' || line.startsWith('#')) {
      at += 1;
      continue;
    }
    const start = at;
    const sections: { head: string; body: string[] }[] = [];
    at += 1;
    while (at < lines.length && !endsTest(lines, at, sections.length > 0)) {
      const next = lines[at]!;
      if (next.startsWith('>>>')) sections.push({ head: next.slice(3), body: [] });
      else sections.at(-1)?.body.push(next);
      at += 1;
    }
    tests.push(testOf(start + 1, line, sections));
  }
  return tests;
}

/** After an exit code, or at an empty line that no further section follows. */
function endsTest(lines: readonly string[], at: number, begun: boolean): boolean {
  if (begun && lines[at - 1]!.startsWith('>>>=')) return true;
  if (lines[at] !== '') return false;
  const next = lines.slice(at).find((line) => line !== '');
  return next === undefined || !next.startsWith('>>>');
}

function testOf(
  line: number,
  command: string,
  sections: readonly { readonly head: string; readonly body: readonly string[] }[],
): ShellTest {
  let out: Expectation | null = null;
  let err: Expectation | null = null;
  let exit: ShellTest['exit'] = null;
  for (const { head, body } of sections) {
    if (head.startsWith('=')) {
      const code = head.slice(1).trim();
      exit = { code: Number(code.replace('!', '')), not: code.startsWith('!') };
    } else if (head.startsWith('2')) err = expectationOf(head.slice(1), body);
    else out = expectationOf(head, body);
  }
  return { line, command, out, err, exit };
}

function expectationOf(head: string, body: readonly string[]): Expectation {
  const whole = [head.trimStart(), ...body].join('\n').trimEnd();
  const match = /^(!?)\/([\s\S]*)\/$/.exec(whole);
  if (match !== null) return { pattern: new RegExp(match[2]!, 'm'), not: match[1] === '!' };
  return { text: body.map((line) => `${line}\n`).join('') };
}
