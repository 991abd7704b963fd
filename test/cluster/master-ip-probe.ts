/**
 * Program: asks who answers on an address, again and again, one line of JSON an answer: `{at_ms, name, master}`, name
 * '' when nobody does. Runs in the namespace of a lab's client until its standard input ends.
 */
import { request } from 'node:http';

const [host = '', pause = '50'] = process.argv.slice(2);

function ask(): void {
  const at_ms = Date.now();
  let done = false;
  const tell = (name: string, master: boolean): void => {
    if (done) return;
    done = true;
    process.stdout.write(`${JSON.stringify({ at_ms, name, master })}\n`);
    setTimeout(ask, Number(pause));
  };
  const call = request({ host, port: 1821, path: '/', timeout: 500, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => {
      const answer = JSON.parse(text) as { name: string; master: boolean };
      tell(answer.name, answer.master);
    });
    response.on('error', () => tell('', false));
  });
  call.on('timeout', () => call.destroy(new Error('no answer')));
  call.on('error', () => tell('', false));
  call.end();
}

process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
ask();
