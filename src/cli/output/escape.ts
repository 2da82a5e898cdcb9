// oxlint-disable-next-line no-control-regex -- these are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * Control characters written out (`\x1b`), so that a container's name, a label or a file name cannot move the cursor,
 * recolour or retitle the terminal that shows it. Line ends and tabs stay.
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
