import type { JSX } from 'preact';
import { useCallback, useState } from 'preact/hooks';
import { shortId } from './format.ts';
import { recent, useEvents } from './live.ts';
import { Search, Table } from './parts.tsx';

export function Events(): JSX.Element {
  const [, draw] = useState(0);
  const [text, setText] = useState('');
  useEvents(useCallback(() => draw((count) => count + 1), []));
  const found = recent.filter(({ Type, Action, Actor }) =>
    `${Type} ${Action} ${Actor.ID} ${Actor.Attributes['name'] ?? ''}`.includes(text.trim()),
  );
  return (
    <>
      <h1>Events</h1>
      <div class="bar">
        <Search value={text} set={setText} label="Kind, action, name or id" />
        <span class="soft">since this page is open</span>
      </div>
      <Table head={['When', 'What', 'Which', '']}>
        {found.slice(0, 200).map(({ Type, Action, Actor, time, timeNano }) => (
          <tr key={`${timeNano}${Action}`}>
            <td>{new Date(time * 1000).toLocaleTimeString()}</td>
            <td>
              {Type} <b>{Action}</b>
            </td>
            <td>{Actor.Attributes['name'] ?? shortId(Actor.ID)}</td>
            <td class="soft">
              {Actor.Attributes['image'] ?? ''}
              {Actor.Attributes['exitCode'] === undefined ? '' : ` exit code ${Actor.Attributes['exitCode']}`}
            </td>
          </tr>
        ))}
      </Table>
    </>
  );
}
