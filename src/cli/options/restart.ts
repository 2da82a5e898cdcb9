import type { RestartPolicy } from '../../api/container.ts';

/** `on-failure:3`. The engine judges the name. Throws an Error in docker's words. */
export function parseRestart(text: string): RestartPolicy {
  if (text === '') return {};
  const cut = text.indexOf(':');
  const name = cut < 0 ? text : text.slice(0, cut);
  if (cut >= 0 && name === '') throw new Error(`invalid restart policy format: no policy provided before colon`);
  const count = cut < 0 ? '' : text.slice(cut + 1);
  if (count !== '' && !/^[+-]?\d+$/.test(count))
    throw new Error(`invalid restart policy format: maximum retry count must be an integer`);
  return {
    Name: name as NonNullable<RestartPolicy['Name']>,
    ...(count === '' ? {} : { MaximumRetryCount: Number(count) }),
  };
}
