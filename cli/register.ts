/** How the file of a noun adds its commands to the program. */
import type { Command } from 'commander';
import type { Session } from './session.ts';

/** Makes the action of a command: gets a session, whose connection ends with it; answers the exit status, or anything else for 0. */
export type Action<A extends readonly unknown[]> = (session: Session, ...args: A) => Promise<unknown>;
export type Wrap = <A extends readonly unknown[]>(action: Action<A>) => (...args: unknown[]) => Promise<void>;
/**
 * @param asked the second word of the command line, when its commands are registered to run one of them: a file may
 * then leave out the others, since every command pays for what is registered. null: all are wanted.
 */
export type Register = (program: Command, wrap: Wrap, asked: string | null) => void;
