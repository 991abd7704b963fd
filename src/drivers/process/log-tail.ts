/** The end of a log file: what goes into an error message when a program died. */
import { open } from 'node:fs/promises';

const log_tail_bytes = 2_048;

/** The last bytes of a log file, '' when there is none. */
export async function logTail(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const size = (await file.stat()).size;
      const length = Math.min(size, log_tail_bytes);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
