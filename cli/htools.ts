/**
 * `skein htools hbal ARGS…`: the htools as commands of `skein`. All that follows a tool's name is the tool's, to the last
 * dash, and so are its output and exit status; what is here only finds it, and says which agent `-L` means.
 */
import type { Command } from 'commander';
import type { World } from './htools/program.ts';
import { programs } from './htools/programs.ts';
import { real_world } from './htools/world.ts';
import { agentOf } from './htools-agent.ts';
import type { Register } from './register.ts';
import { Session } from './session.ts';

const summaries: Readonly<Record<string, string>> = {
  hbal: 'which moves would balance a group of nodes; -L -X makes them',
  hail: 'an allocator’s answer to a request in a file',
  hspace: 'how many more instances fit',
  hroller: 'which nodes can be rebooted together',
  hcheck: 'whether a cluster is balanced and bears the loss of a node',
  hinfo: 'what a cluster looks like to the others',
};

function worldOf({ terminal, globals }: Session): World {
  return {
    ...real_world,
    out: (text) => terminal.out(text),
    err: (text) => terminal.err(text),
    openAgent: async (socket) => agentOf(new Session(terminal, socket === null ? globals : { socket })),
  };
}

/** What was typed behind the tool's name: commander takes a `--` away that comes first. */
function typed(command: Command, program: Command): readonly string[] {
  const { args } = command;
  // Of commander's documented properties the one that its types leave out.
  const { rawArgs: line } = program as Command & { readonly rawArgs: readonly string[] };
  return line[line.length - args.length - 1] === '--' ? ['--', ...args] : args;
}

export const register: Register = (program, wrap) => {
  // What looks like an option of `skein` is the tool's if it stands behind the tool's name.
  program.enablePositionalOptions();
  const htools = program
    .command('htools')
    .description(
      'Ganeti’s placement tools, as under their own names; `skein htools hbal --help` is hbal’s own',
    )
    .helpCommand(false)
    .enablePositionalOptions();
  for (const [name, start] of Object.entries(programs)) {
    const tool = htools
      .command(name)
      .description(summaries[name]!)
      .argument('[args...]')
      .allowUnknownOption()
      .helpOption(false)
      .passThroughOptions();
    tool.action(wrap((session) => start(typed(tool, program), worldOf(session))));
  }
};
