/** The remote API over HTTP and HTTPS. */
import assert from 'node:assert/strict';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { describe, it } from 'node:test';
import { real_world } from './world.ts';

/** Signed by itself, as those of clusters are; of no use to anybody else. */
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgptpHGpy2JaW0hTxX
QHVawyZ79znsxcU1ugwBarpm7RuhRANCAAR8uNhm6+EIw24+gs9a+D1cJqOt18UI
y6GWENgHaKOJqyMdNYUBmznwr0JUgUyQkxHgazQHbWRXbMo/SnJEAoDu
-----END PRIVATE KEY-----
`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUejz7sbCPjKLcg6hjYCODtlXDi40wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDIxNDgwNloYDzIxMjYxMTA2
MjE0ODA2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR8uNhm6+EIw24+gs9a+D1cJqOt18UIy6GWENgHaKOJqyMdNYUBmznw
r0JUgUyQkxHgazQHbWRXbMo/SnJEAoDuo1MwUTAdBgNVHQ4EFgQUDx9COsdUcPNV
8+fml2XG+Y0ULbMwHwYDVR0jBBgwFoAUDx9COsdUcPNV8+fml2XG+Y0ULbMwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA0o9xOc4Vd1OJ+Wj3kdiG
1KTiNjsZXVQNXN9aQTtVhOUCIDTSVoaRqGgnepNrI6/zs0QDTqXSUaVplQh5ToWF
gFyC
-----END CERTIFICATE-----
`;

async function serving(server: Server, ask: (port: number) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  try {
    await ask((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

const answer: RequestListener = (request, response) => {
  if (request.url === '/2/missing') response.statusCode = 404;
  response.end(`${request.url} ${request.headers.authorization ?? 'nobody'}`);
};

describe('get', () => {
  it('asks over HTTP', () =>
    serving(createHttp(answer), async (port) => {
      assert.equal(await real_world.get(`http://127.0.0.1:${port}/2/info`), '/2/info nobody');
    }));

  it('asks over HTTPS, and takes a certificate that signs itself', () =>
    serving(createHttps({ key, cert }, answer), async (port) => {
      assert.equal(await real_world.get(`https://127.0.0.1:${port}/2/info`), '/2/info nobody');
    }));

  it('gives the user of the address', () =>
    serving(createHttp(answer), async (port) => {
      const basic = Buffer.from('me:p@ss').toString('base64');
      assert.equal(
        await real_world.get(`http://me:p%40ss@127.0.0.1:${port}/2/info`),
        `/2/info Basic ${basic}`,
      );
    }));

  it('says what was wrong', () =>
    serving(createHttp(answer), async (port) => {
      await assert.rejects(real_world.get(`http://127.0.0.1:${port}/2/missing`), /status 404, expected 200/);
      await assert.rejects(real_world.get('http://127.0.0.1:1/2/info'), /ECONNREFUSED/);
    }));
});
