import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';

export function Problem({ text }: { text: string }): JSX.Element | null {
  return text === '' ? null : (
    <div class="note" role="alert">
      {text}
    </div>
  );
}

/** A button that does something with the engine, cannot be pressed twice, and says when it went wrong. */
export function Action(props: {
  label: string;
  run: () => Promise<unknown>;
  fail: (words: string) => void;
  confirm?: string;
  kind?: 'bad' | 'primary';
}): JSX.Element {
  const [busy, setBusy] = useState(false);
  const press = async (event: Event): Promise<void> => {
    event.stopPropagation();
    if (props.confirm !== undefined && !window.confirm(props.confirm)) return;
    setBusy(true);
    props.fail('');
    try {
      await props.run();
    } catch (error) {
      props.fail((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" class={props.kind ?? ''} disabled={busy} onClick={(event) => void press(event)}>
      {props.label}
    </button>
  );
}

export function Table({
  head,
  children,
  cards = false,
}: {
  head: readonly (string | [string, 'number'])[];
  children: ComponentChildren;
  /** On a telephone each row is a card: what is in it stands below each other, the first two beside. */
  cards?: boolean;
}): JSX.Element {
  return (
    <div class={cards ? 'scroll cards' : 'scroll'}>
      <table>
        <thead>
          <tr>
            {head.map((entry) => (
              <th class={typeof entry === 'string' ? '' : 'number'}>{typeof entry === 'string' ? entry : entry[0]}</th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Search({
  value,
  set,
  label,
}: {
  value: string;
  set: (text: string) => void;
  label: string;
}): JSX.Element {
  return (
    <input
      type="search"
      placeholder={label}
      aria-label={label}
      value={value}
      onInput={(event) => set(event.currentTarget.value)}
    />
  );
}

export function Tabs({ base, tabs, now }: { base: string; tabs: readonly string[]; now: string }): JSX.Element {
  return (
    <div class="tabs">
      {tabs.map((tab) => (
        <a href={`${base}/${tab}`} aria-current={tab === now}>
          {tab}
        </a>
      ))}
    </div>
  );
}
