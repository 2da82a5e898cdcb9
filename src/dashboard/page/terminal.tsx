import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { call } from './api.ts';
import { Problem } from './parts.tsx';

/** A shell in a container. The terminal itself is loaded when it is first wanted. */
export function Terminal({ container }: { container: string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [error, setError] = useState('');
  useEffect(() => {
    let close = (): void => {};
    let gone = false;
    open(container, place.current!, (words) => setError(words)).then(
      (end) => (gone ? end() : (close = end)),
      (failure: unknown) => setError((failure as Error).message),
    );
    return () => {
      gone = true;
      close();
    };
  }, [container]);
  return (
    <>
      <Problem text={error} />
      <div class="terminal" ref={place} />
    </>
  );
}

async function open(container: string, place: HTMLElement, end: (words: string) => void): Promise<() => void> {
  const [{ Terminal: Screen }, { FitAddon }] = await Promise.all([import('@xterm/xterm'), import('@xterm/addon-fit')]);
  if (!document.querySelector('link[href="terminal.css"]')) {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: 'terminal.css' }));
  }
  const Cmd = ['/bin/sh', '-c', 'exec "$(command -v bash || echo sh)"'];
  const made = await call('POST', `/containers/${container}/exec`, {
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: true,
    Env: ['TERM=xterm-256color'],
    Cmd,
  });
  const { Id: id } = (await made.json()) as { Id: string };
  const screen = new Screen({
    fontSize: 13,
    cursorBlink: true,
    theme: { background: '#10151c' },
    screenReaderMode: true,
  });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  screen.open(place);
  fit.fit();
  const socket = new WebSocket(`ws://${location.host}/terminal/${id}`);
  socket.binaryType = 'arraybuffer';
  const encoder = new TextEncoder();
  let begun = false;
  const resize = (): void => {
    fit.fit();
    if (begun) call('POST', `/exec/${id}/resize?h=${screen.rows}&w=${screen.cols}`).catch(() => {});
  };
  socket.onopen = () => screen.focus();
  socket.onmessage = ({ data }) => {
    screen.write(new Uint8Array(data as ArrayBuffer));
    if (begun) return;
    begun = true; // the engine knows the terminal's size from here on
    resize();
  };
  socket.onclose = ({ reason }) => end(reason || 'The shell has ended.');
  screen.onData((data) => socket.readyState === socket.OPEN && socket.send(encoder.encode(data)));
  const watch = new ResizeObserver(resize);
  watch.observe(place);
  return () => {
    watch.disconnect();
    socket.onclose = null;
    socket.close();
    screen.dispose();
  };
}
