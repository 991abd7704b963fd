/**
 * The htools under one roof: `node main.ts hbal …`, or under a name of their own (a link to this file, or the variable
 * HTOOLS, as with Ganeti's). Each program is loaded when it is asked for: hail starts many times a minute.
 */
import { basename } from 'node:path';
import { runProgram } from './program.ts';
import { real_world } from './world.ts';

/** Runs a program with its arguments, to its exit status. */
type Start = (argv: readonly string[]) => Promise<number>;

const programs: { readonly [name: string]: Start } = {
  hail: async (argv) => runProgram((await import('./hail.ts')).hail, argv, real_world),
  hbal: async (argv) => runProgram((await import('./hbal.ts')).hbal, argv, real_world),
  hcheck: async (argv) => runProgram((await import('./hcheck.ts')).hcheck, argv, real_world),
  hspace: async (argv) => runProgram((await import('./hspace.ts')).hspace, argv, real_world),
  hinfo: async (argv) => runProgram((await import('./hinfo.ts')).hinfo, argv, real_world),
  hroller: async (argv) => runProgram((await import('./hroller.ts')).hroller, argv, real_world),
};

function chosen(argv: readonly string[]): { readonly name: string; readonly args: readonly string[] } {
  const [, script = '', ...args] = argv;
  const own = basename(script);
  const named = process.env['HTOOLS'] ?? (Object.hasOwn(programs, own) ? own : undefined);
  return named === undefined ? { name: args[0] ?? '', args: args.slice(1) } : { name: named, args };
}

const { name, args } = chosen(process.argv);
if (Object.hasOwn(programs, name)) {
  // No wait at the top: this is bundled as CommonJS, which starts faster.
  void programs[name]!(args).then((status) => {
    process.exitCode = status;
  });
} else {
  const known = Object.keys(programs).join(', ');
  process.stderr.write(`Unrecognised personality '${name}'\nThis program must be run as one of: ${known}\n`);
  process.exitCode = 1;
}
