/**
 * Puts to etcd members, asked for over gRPC as its own clients do (HTTP/2, protobuf): every 10 ms one to each member,
 * independent of each other; or one after the other. Runs as a process of its own in the client's namespace. Prints
 * `sent_ms done_ms address` for every put that succeeded.
 *
 *   node bench/etcd-put.ts interval|sequence ADDRESS…
 */
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import process from 'node:process';
import { nowMs, sleep } from './clock.ts';

const every_ms = 10;
const patience_ms = 3_000;
const value = 'x'.repeat(256);

/** PutRequest of etcd's rpc.proto: field 1 key, field 2 value; both shorter than 2^14 bytes. */
function putRequest(key: string, text: string): Buffer {
  const field = (number: number, bytes: Buffer): Buffer => {
    const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
    return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
  };
  const message = Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(text))]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

class Member {
  readonly address: string;
  #session: ClientHttp2Session | null = null;
  #keys = 0;

  constructor(address: string) {
    this.address = address;
  }

  #open(): ClientHttp2Session {
    if (this.#session && !this.#session.destroyed && !this.#session.closed) return this.#session;
    const session = connect(`http://${this.address}:2379`);
    // Every put that it breaks ends by itself, without success.
    session.on('error', () => session.destroy());
    this.#session = session;
    return session;
  }

  /** Whether etcd says that it is done; false after the deadline. */
  put(): Promise<boolean> {
    this.#keys = (this.#keys + 1) % 100;
    const stream = this.#open().request({
      ':method': 'POST',
      ':path': '/etcdserverpb.KV/Put',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    return new Promise((resolve) => {
      let ok = false;
      const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), patience_ms);
      const see = (headers: { readonly [name: string]: unknown }): void => {
        if (headers['grpc-status'] !== undefined) ok = Number(headers['grpc-status']) === 0;
      };
      stream.on('response', see);
      stream.on('trailers', see);
      stream.on('error', () => stream.close());
      stream.on('close', () => {
        clearTimeout(timer);
        resolve(ok);
      });
      stream.resume();
      stream.end(putRequest(`k${this.#keys}`, value));
    });
  }
}

async function put(member: Member): Promise<void> {
  const sent_ms = nowMs();
  if (await member.put()) process.stdout.write(`${sent_ms} ${nowMs()} ${member.address}\n`);
}

const [mode = '', ...addresses] = process.argv.slice(2);
const members = addresses.map((address) => new Member(address));
process.stdout.on('error', () => process.exit(0));
if (mode === 'interval') {
  setInterval(() => {
    for (const member of members) void put(member);
  }, every_ms);
} else {
  for (;;) {
    for (const member of members) await put(member);
    await sleep(1);
  }
}
