/**
 * Client of etcd over its native gRPC: just enough of HTTP/2 (RFC 9113) and HPACK (RFC 7541) for unary calls over one
 * connection, written for little overhead. Node's own HTTP/2 client takes several times the processor time a request,
 * which on a small machine would be taken from etcd and make the comparison unfair.
 */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { JoinedWrites, type StoreClient } from './client.ts';

const types = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, window_update: 8 } as const;
const flags = { end_stream: 1, ack: 1, end_headers: 4 } as const;
const head_bytes = 9;
/** The window that either side may send into before it hears of a larger one. */
const initial_window = 65_535;
/** What we let the server send; renewed in steps far below it. */
const our_window = 1 << 30;
const window_step = 1 << 20;

interface Call {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
  parts: Buffer[];
}

export class EtcdClient implements StoreClient {
  readonly #socket: Socket;
  readonly #authority: string;
  readonly #calls = new Map<number, Call>();
  readonly #out: JoinedWrites;
  #rest: Buffer = Buffer.alloc(0);
  #next_stream = 1;
  #credit = initial_window;
  #received = 0;
  #failure: Error | null = null;

  /** @param address `HOST:PORT` of a member's clients' side */
  constructor(address: string) {
    const [host = '', port = ''] = address.split(':');
    this.#authority = address;
    this.#socket = connect({ host, port: Number(port), noDelay: true });
    this.#out = new JoinedWrites((all) => this.#socket.write(Buffer.concat(all)));
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(our_window, 2);
    this.#out.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'));
    this.#out.send(frame(types.settings, 0, 0, settings));
    this.#out.send(windowUpdate(our_window - initial_window));
    this.#socket.on('data', (bytes: Buffer) => {
      try {
        this.#push(bytes);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error(`${address}: the connection ended`)));
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    const request = Buffer.concat([field(1, Buffer.from(key, 'latin1')), field(2, value)]);
    const answer = await this.#call('/etcdserverpb.KV/Put', request);
    if (answer[0] !== 0x0a) throw new Error('a put was answered without a header');
  }

  async get(key: string): Promise<number> {
    // Linearizable unless asked otherwise (`serializable`, field 7).
    const answer = await this.#call('/etcdserverpb.KV/Range', field(1, Buffer.from(key, 'latin1')));
    return answer.length;
  }

  close(): void {
    this.#socket.destroy();
  }

  #call(path: string, message: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      const stream = this.#next_stream;
      this.#next_stream += 2;
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      this.#credit -= prefix.length + message.length;
      if (this.#credit < 0) {
        reject(new Error('more was sent than the server said it takes'));
        return;
      }
      this.#calls.set(stream, { resolve, reject, parts: [] });
      this.#out.send(frame(types.headers, flags.end_headers, stream, this.#headers(path, stream === 1)));
      this.#out.send(frame(types.data, flags.end_stream, stream, Buffer.concat([prefix, message])));
    });
  }

  /** The first request puts what stays the same into the server's table; later ones name it by its place there. */
  #headers(path: string, first: boolean): Buffer {
    const method_and_scheme = Buffer.from([0x83, 0x86]);
    const literal_path = Buffer.concat([Buffer.from([0x04]), text(path)]);
    const same: readonly (readonly [name: string, value: string])[] = [
      [':authority', this.#authority],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ];
    const others = same.map(([name, value], at) =>
      first
        ? Buffer.concat([Buffer.from([0x40]), text(name), text(value)])
        : Buffer.from([0x80 | (61 + same.length - at)]),
    );
    // Pseudo-headers come first: `:authority` leads the others.
    return Buffer.concat([method_and_scheme, literal_path, ...others]);
  }

  #push(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= head_bytes) {
      const end = at + head_bytes + all.readUIntBE(at, 3);
      if (end > all.length) break;
      const stream = all.readUInt32BE(at + 5) & 0x7fff_ffff;
      this.#onFrame(all.readUInt8(at + 3), all.readUInt8(at + 4), stream, all.subarray(at + head_bytes, end));
      at = end;
    }
    this.#rest = all.subarray(at);
  }

  #onFrame(type: number, flag_bits: number, stream: number, body: Buffer): void {
    switch (type) {
      case types.data:
        this.#calls.get(stream)?.parts.push(body);
        this.#received += body.length;
        if (this.#received >= window_step) {
          this.#out.send(windowUpdate(this.#received));
          this.#received = 0;
        }
        break;
      case types.headers:
        break;
      case types.settings:
        if ((flag_bits & flags.ack) === 0) {
          this.#out.send(frame(types.settings, flags.ack, 0, Buffer.alloc(0)));
        }
        return;
      case types.ping:
        if ((flag_bits & flags.ack) === 0) this.#out.send(frame(types.ping, flags.ack, 0, body));
        return;
      case types.window_update:
        if (stream === 0) this.#credit += body.readUInt32BE(0);
        return;
      case types.reset:
        this.#end(stream)?.reject(new Error(`etcd ended a call with HTTP/2 error ${body.readUInt32BE(0)}`));
        return;
      default:
        throw new Error(`HTTP/2 frame of type ${type} not expected`);
    }
    if ((flag_bits & flags.end_stream) !== 0) this.#answered(stream);
  }

  /** etcd sends a message if the call succeeded and none if it failed: the trailers need not be read. */
  #answered(stream: number): void {
    const call = this.#end(stream);
    if (call === undefined) return;
    const answer = Buffer.concat(call.parts);
    if (answer.length < 5) call.reject(new Error('etcd refused a call'));
    else call.resolve(answer.subarray(5));
  }

  #end(stream: number): Call | undefined {
    const call = this.#calls.get(stream);
    this.#calls.delete(stream);
    return call;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const call of this.#calls.values()) call.reject(this.#failure);
    this.#calls.clear();
    this.#socket.destroy();
  }
}

function frame(type: number, flag_bits: number, stream: number, body: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(head_bytes);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag_bits, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

function windowUpdate(bytes: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(bytes, 0);
  return frame(types.window_update, 0, 0, body);
}

/** HPACK string without Huffman coding, shorter than 127 bytes. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
}

/** Protobuf field of bytes, shorter than 2^14. */
function field(number: number, bytes: Uint8Array): Buffer {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
