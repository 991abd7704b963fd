/**
 * The htools under one roof: `node main.ts hbal …`, or under a name of their own (a link to this file, or the variable
 * HTOOLS, as with Ganeti's). `skein htools` is the other door (cli/htools.ts).
 */
import { basename } from 'node:path';
import { programs } from './programs.ts';
import { real_world } from './world.ts';

function chosen(argv: readonly string[]): { readonly name: string; readonly args: readonly string[] } {
  const [, script = '', ...args] = argv;
  const own = basename(script);
  const named = process.env['HTOOLS'] ?? (Object.hasOwn(programs, own) ? own : undefined);
  return named === undefined ? { name: args[0] ?? '', args: args.slice(1) } : { name: named, args };
}

const { name, args } = chosen(process.argv);
if (Object.hasOwn(programs, name)) {
  // No wait at the top: this is bundled as CommonJS, which starts faster.
  void programs[name]!(args, real_world).then((status) => {
    process.exitCode = status;
  });
} else {
  const known = Object.keys(programs).join(', ');
  process.stderr.write(`Unrecognised personality '${name}'\nThis program must be run as one of: ${known}\n`);
  process.exitCode = 1;
}
