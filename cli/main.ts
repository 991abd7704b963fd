/**
 * The `skein` command. Exit statuses are in exit-status.ts.
 */
import { runCommandLine } from './command-line.ts';
import { processTerminal, releaseStdin } from './terminal.ts';

// A reader that has seen enough (`| head`) ends the command quietly, like other programs.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

runCommandLine(process.argv.slice(2), processTerminal()).then(
  (status) => {
    process.exitCode = status;
    // Standard input, once read, would keep the process alive.
    releaseStdin();
  },
  (error: unknown) => {
    process.stderr.write(
      `skein: defect: ${error instanceof Error ? error.stack : String(error)}\nTry: report this\n`,
    );
    process.exitCode = 70;
  },
);
