/** The htools by name. Each is loaded when it is asked for: hail starts many times a minute. */
import { runProgram, type World } from './program.ts';

/** Runs a program with its arguments, to its exit status. */
export type Start = (argv: readonly string[], world: World) => Promise<number>;

export const programs: { readonly [name: string]: Start } = {
  hail: async (argv, world) => runProgram((await import('./hail.ts')).hail, argv, world),
  hbal: async (argv, world) => runProgram((await import('./hbal.ts')).hbal, argv, world),
  hcheck: async (argv, world) => runProgram((await import('./hcheck.ts')).hcheck, argv, world),
  hspace: async (argv, world) => runProgram((await import('./hspace.ts')).hspace, argv, world),
  hinfo: async (argv, world) => runProgram((await import('./hinfo.ts')).hinfo, argv, world),
  hroller: async (argv, world) => runProgram((await import('./hroller.ts')).hroller, argv, world),
};
