/**
 * Reads test files of the data-driven kind: a directive line, input lines, `----`, the expected output up to a blank
 * line (up to a second pair of `----` lines if it begins with one). Text in, cases out: it runs nothing and must never
 * pass over a line that it does not understand.
 */

export interface Case {
  /** Of the directive, counted from 1. */
  readonly line: number;
  readonly command: string;
  /** In order of appearance; an argument without a value has none. */
  readonly args: readonly (readonly [key: string, values: readonly string[]])[];
  readonly input: readonly string[];
  /** Ends with a line feed unless it is empty. */
  readonly expected: string;
}

const fence = '----';
const directive = /^[\w-]+(\s+[\w-]+(=(\([^()]*\)|[^\s()]+))?)*\s*$/;
const argument = /\s([\w-]+)(?:=(?:\(([^()]*)\)|(\S+)))?/g;

/** @throws SyntaxError naming the line */
export function parseCases(text: string): readonly Case[] {
  const lines = text.split('\n');
  const cases: Case[] = [];
  for (let at = 0; at < lines.length; ) {
    const head = lines[at]!;
    if (head.trim() === '' || head.startsWith('#')) {
      at += 1;
      continue;
    }
    if (!directive.test(head)) throw new SyntaxError(`line ${at + 1}: not a directive: ${head}`);
    const cut = lines.indexOf(fence, at);
    if (cut < 0) throw new SyntaxError(`line ${at + 1}: no "${fence}" follows`);
    const fenced = lines[cut + 1] === fence;
    const begin = fenced ? cut + 2 : cut + 1;
    let end = begin;
    const isEnd = fenced
      ? () => lines[end] === fence && lines[end + 1] === fence
      : () => lines[end]!.trim() === '';
    while (end < lines.length && !isEnd()) end += 1;
    if (fenced && end === lines.length) throw new SyntaxError(`line ${cut + 1}: the output has no end`);
    cases.push({
      line: at + 1,
      command: /^[\w-]+/.exec(head)![0],
      args: argumentsOf(head),
      input: lines.slice(at + 1, cut),
      expected: lines
        .slice(begin, end)
        .map((line) => `${line}\n`)
        .join(''),
    });
    at = fenced ? end + 2 : end;
  }
  return cases;
}

function argumentsOf(head: string): Case['args'] {
  return [...head.matchAll(argument)].map(([, key = '', list, single]) => {
    if (list !== undefined) return [key, list.split(',').map((value) => value.trim())] as const;
    return [key, single === undefined ? [] : [single]] as const;
  });
}

/** The values of one argument; undefined when it is not there. */
export function valuesOf(of: Case, key: string): readonly string[] | undefined {
  return of.args.find(([name]) => name === key)?.[1];
}
