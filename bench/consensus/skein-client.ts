/** Client of a replica of this benchmark: many requests at a time over one connection. */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { JoinedWrites, type StoreClient } from './client.ts';
import { encodeFrame, encodePut, FrameSplitter, op_codes, status_codes } from './frames.ts';

interface Call {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class SkeinClient implements StoreClient {
  readonly #socket: Socket;
  readonly #calls = new Map<number, Call>();
  readonly #out: JoinedWrites;
  #last_id = 0;

  /** @param address `HOST:PORT` of a replica's clients' side */
  constructor(address: string) {
    const [host = '', port = ''] = address.split(':');
    const splitter = new FrameSplitter();
    this.#socket = connect({ host, port: Number(port), noDelay: true });
    this.#out = new JoinedWrites((all) => this.#socket.write(Buffer.concat(all)));
    this.#socket.on('data', (bytes: Buffer) => {
      for (const { id, code, body } of splitter.push(bytes)) {
        const call = this.#calls.get(id);
        this.#calls.delete(id);
        if (code === status_codes.done) call?.resolve(body);
        else call?.reject(new Error(`${address}: ${body.toString('utf8')}`));
      }
    });
    const failed = (error: Error): void => {
      for (const call of this.#calls.values()) call.reject(error);
      this.#calls.clear();
    };
    this.#socket.on('error', failed);
    this.#socket.on('close', () => failed(new Error(`${address}: the connection ended`)));
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#call(op_codes.put, encodePut(key, value));
  }

  async get(key: string): Promise<number> {
    return (await this.#call(op_codes.get, Buffer.from(key, 'latin1'))).length;
  }

  /** Whether this replica leads and may be asked. */
  async leads(): Promise<boolean> {
    return (await this.#call(op_codes.leads, Buffer.alloc(0)))[0] === 1;
  }

  close(): void {
    this.#socket.destroy();
  }

  #call(code: number, body: Buffer): Promise<Buffer> {
    this.#last_id += 1;
    const id = this.#last_id;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('the connection ended'));
        return;
      }
      this.#calls.set(id, { resolve, reject });
      this.#out.send(encodeFrame(id, code, body));
    });
  }
}
