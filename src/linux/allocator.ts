import { bind } from './libc.ts';

/**
 * Tells glibc's allocator to give memory back: one arena for all threads instead of some for each, and buffers of 64 KiB and
 * more are mapped and unmapped one by one. Without it what streams pass through stays with the process in pieces: 20 to
 * 30 MiB after a build and a push of 1 GiB. Before other threads are started; another C library goes its own way.
 */
export function keepMemoryTight(): void {
  try {
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
  } catch {
    // Nothing depends on it.
  }
}

/** Gives back what was freed in the middle of the heap as well; a few milliseconds. */
export function giveMemoryBack(): void {
  try {
    trim(0);
  } catch {
    // As above.
  }
}

const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
const trim = bind<(pad: number) => number>('int malloc_trim(size_t pad)');
const mallopt = bind<(parameter: number, value: number) => number>('int mallopt(int param, int value)');
