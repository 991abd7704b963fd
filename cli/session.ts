/**
 * What a command works with: the terminal, the global options, and a connection to the agent made when first needed.
 */
import { ApiCallError, type ApiClient, type CallOptions, connectApi } from '../src/node/api-client.ts';
import type { ApiMethods, QueryResource } from '../src/node/api-types.ts';
import { CliError } from './exit-status.ts';
import type { Row } from './fields.ts';
import { locateAgent } from './locate-agent.ts';
import type { Terminal } from './terminal.ts';

export interface GlobalOptions {
  readonly socket?: string;
  readonly on?: string;
  readonly json?: boolean;
}

/** How a broken connection is retried: pauses between attempts, in milliseconds. */
export const retry_pauses_ms: readonly number[] = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000];

export class Session {
  readonly terminal: Terminal;
  readonly globals: GlobalOptions;
  private client: Promise<ApiClient> | null = null;
  private ended = false;

  constructor(terminal: Terminal, globals: GlobalOptions) {
    this.terminal = terminal;
    this.globals = globals;
  }

  get socket_path(): string {
    const { socket, on } = this.globals;
    return locateAgent({ socket, on, env: this.terminal.env, cwd: this.terminal.cwd });
  }

  /** The connection; made again after {@link disconnect}. */
  connect(): Promise<ApiClient> {
    this.client ??= connectApi(this.socket_path);
    return this.client;
  }

  async call<M extends keyof ApiMethods>(
    method: M,
    params: ApiMethods[M]['params'],
    options?: CallOptions,
  ): Promise<ApiMethods[M]['result']> {
    const client = await this.connect();
    return client.call(method, params, options);
  }

  /**
   * Like {@link call}, again over a new connection when the old one broke or the outcome is unknown: only for calls
   * that may be made twice. Bounded; says on standard error what it does.
   */
  async callAgain<M extends keyof ApiMethods>(
    method: M,
    params: ApiMethods[M]['params'],
    options?: CallOptions,
  ): Promise<ApiMethods[M]['result']> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.call(method, params, options);
      } catch (error) {
        const pause_ms = retry_pauses_ms[attempt];
        if (this.ended || !mayRetry(error, attempt) || pause_ms === undefined) throw error;
        this.terminal.err(`skein: ${(error as Error).message}; asking again in ${pause_ms / 1000} s\n`);
        await this.disconnect();
        await new Promise((resolve) => setTimeout(resolve, pause_ms));
      }
    }
  }

  /** Rows of a resource, with all fields unless some are named; says how old they are when they are stale. */
  async query(
    resource: QueryResource,
    names: readonly string[],
    stale: boolean,
    fields: readonly string[] | null = null,
  ): Promise<readonly Row[]> {
    const answer = await this.call('query', {
      resource,
      names,
      ...(fields ? { fields } : {}),
      ...(stale ? { stale: true } : {}),
    });
    if (stale && answer.stale_ms !== null) {
      this.terminal.err(
        `skein: answered from this node’s copy, ${(answer.stale_ms / 1000).toFixed(1)} s old\n`,
      );
    }
    return answer.rows;
  }

  /** The one row of that name. */
  async queryOne(resource: QueryResource, name: string, stale = false): Promise<Row> {
    const rows = await this.query(resource, [name], stale);
    const row = rows[0];
    if (row) return row;
    throw new CliError(`there is no ${resource} "${name}"`, `skein ${resource} list`);
  }

  print(text: string): void {
    this.terminal.out(`${text}\n`);
  }

  printLines(lines: readonly string[]): void {
    if (lines.length > 0) this.terminal.out(`${lines.join('\n')}\n`);
  }

  printJson(value: unknown): void {
    this.print(JSON.stringify(value, null, 2));
  }

  /** Ends the connection, so that the process can end. */
  async disconnect(): Promise<void> {
    const client = this.client;
    this.client = null;
    if (!client) return;
    try {
      (await client).close();
    } catch (error) {
      // A connection that was never made needs no closing; whoever asked for it was told.
      if (!(error instanceof ApiCallError)) throw error;
    }
  }

  /** Ends it for good: what waits for an answer fails, and is not asked again. */
  async end(): Promise<void> {
    this.ended = true;
    await this.disconnect();
  }
}

/** A first attempt that finds no agent is an answer; one that did and lost it is not. */
function mayRetry(error: unknown, attempt: number): boolean {
  if (!(error instanceof ApiCallError)) return false;
  return error.code === 'unknown-outcome' || (error.code === 'unavailable' && attempt > 0);
}
