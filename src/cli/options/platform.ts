/** `linux/arm64/v8` as the API takes it; undefined for none. */
export function platformJson(text: string): string | undefined {
  if (text === '') return undefined;
  const [os, architecture, variant] = text.split('/');
  return JSON.stringify({
    os,
    ...(architecture === undefined ? {} : { architecture }),
    ...(variant === undefined ? {} : { variant }),
  });
}
