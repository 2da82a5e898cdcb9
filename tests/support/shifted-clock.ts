/**
 * Loaded into an engine before anything else (`node --import`): its clock on the wall is off by what the file of
 * `SHIFTED_CLOCK` says, in milliseconds, and jumps when that is written anew. The clocks that only count on are as they are.
 */
import { readFileSync } from 'node:fs';

const file = process.env['SHIFTED_CLOCK']!;
const RealDate = Date;
let shift = 0;
const look = (): void => {
  try {
    shift = Number(readFileSync(file, 'utf8'));
  } catch {
    // not written yet
  }
};
look();
setInterval(look, 20).unref();

class ShiftedDate extends RealDate {
  constructor(...words: [] | [number | string | Date]) {
    if (words.length === 0) super(RealDate.now() + shift);
    else super(...(words as [number]));
  }

  static override now(): number {
    return RealDate.now() + shift;
  }
}
globalThis.Date = ShiftedDate as DateConstructor;
