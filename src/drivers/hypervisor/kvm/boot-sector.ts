/**
 * The smallest guest there is: 512 bytes of 16-bit code, assembled here by hand, that write a text to the first serial
 * port. Used to find out by trying whether an accelerator works, and by tests that need a guest in a fifth of a second.
 */

/** `exit`: ends QEMU by its `isa-debug-exit` device at port 0xf4. `tick`: writes a dot at every timer interrupt (18 a second). */
export type BootSectorThen = 'exit' | 'tick';

const load_address = 0x7c00;
const max_text_bytes = 400;

/** A boot sector that prints `text` (ASCII) on COM1. */
export function bootSector(text: string, then: BootSectorThen): Buffer {
  const message = Buffer.from(`${text}\0`, 'latin1');
  if (message.length > max_text_bytes)
    throw new RangeError(`text of ${message.length} bytes: expected at most ${max_text_bytes}`);
  const tail =
    then === 'exit'
      ? [0xba, 0xf4, 0x00, 0xb0, 0x00, 0xee, 0xf4, 0xeb, 0xfd] // mov dx,0xf4; mov al,0; out dx,al; L: hlt; jmp L
      : [0xfb, 0xf4, 0xb0, 0x2e, 0xee, 0xeb, 0xfa]; // sti; L: hlt; mov al,'.'; out dx,al; jmp L
  const head = [
    ...[0x31, 0xc0], // xor ax,ax
    ...[0x8e, 0xd8], // mov ds,ax
    0xfc, // cld
    ...[0xbe, 0x00, 0x00], // mov si,message (filled in below)
    ...[0xba, 0xf8, 0x03], // mov dx,0x3f8
    0xac, // next: lodsb
    ...[0x84, 0xc0], // test al,al
    ...[0x74, 0x03], // jz done
    0xee, // out dx,al
    ...[0xeb, 0xf8], // jmp next; done:
  ];
  const sector = Buffer.alloc(512);
  const code = Buffer.from([...head, ...tail]);
  code.writeUInt16LE(load_address + code.length, 6);
  code.copy(sector);
  message.copy(sector, code.length);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}
