/** `--builder` of buildx: here the engine is the only builder. Throws for the name of another. */
export function parseBuilder(text: string): string {
  if (text !== 'default' && text !== '')
    throw new Error('the engine is the only builder here, by the name of "default"');
  return text;
}
