/** The terminal, or whatever stands in its place. Loaded lazily where a stream costs time to make. */
export interface Output {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  write(data: string | Uint8Array): void;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdinIsTTY: boolean;
  stdin(): NodeJS.ReadStream;
  /** Raw mode of the terminal on stdin; nothing when there is none. */
  setRawMode(raw: boolean): void;
  /** Called when the terminal changes its size. Gives the function that ends this. */
  onResize(listener: () => void): () => void;
  /** Calls `release` once, before anything else is written: whoever redraws what it wrote knows that it no longer can. */
  holdScreen(release: () => void): void;
  /** Whether somebody waits to be told. */
  readonly screenIsHeld: boolean;
  /** Takes `release` back, where it is the one that would be called. */
  giveScreen(release: () => void): void;
}

export function processIo(): Io {
  let release: (() => void) | undefined;
  const beforeWrite = (): void => {
    const held = release;
    release = undefined;
    held?.();
  };
  return {
    stdout: output(() => process.stdout, beforeWrite),
    stderr: output(() => process.stderr, beforeWrite),
    holdScreen: (given) => void (release = given),
    get screenIsHeld() {
      return release !== undefined;
    },
    giveScreen: (given) => {
      if (release === given) release = undefined;
    },
    get stdinIsTTY() {
      return process.stdin.isTTY;
    },
    stdin: () => process.stdin,
    setRawMode: (raw) => {
      if (!process.stdin.isTTY) return;
      process.stdin.setRawMode(raw);
      // Node's raw mode still turns line ends into carriage return and line end, which spoils what full-screen programs
      // draw; it has no call for this. Turning raw mode off brings everything back.
      if (raw)
        process
          .getBuiltinModule('node:child_process')
          .spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
    },
    onResize: (listener) => {
      process.on('SIGWINCH', listener);
      return () => void process.off('SIGWINCH', listener);
    },
  };
}

function output(stream: () => NodeJS.WriteStream, beforeWrite: () => void): Output {
  let ready: NodeJS.WriteStream | undefined;
  const get = (): NodeJS.WriteStream => {
    if (!ready) {
      ready = stream();
      // Whoever read us has left (`gantry logs web | head`): the rest is for nobody.
      ready.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 141 : 1));
    }
    return ready;
  };
  return {
    get isTTY() {
      return get().isTTY;
    },
    get columns() {
      return get().columns || 80;
    },
    get rows() {
      const { rows } = get();
      return rows || 24;
    },
    write: (data) => {
      beforeWrite();
      get().write(data);
    },
  };
}
