/** The fields that every labelled thing has in templates: `.Labels`, and `.Label "key"`. */
export function labelFields(labels: Readonly<Record<string, string>> | null | undefined): {
  Labels: string;
  Label: (name: unknown) => string;
} {
  const entries = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    Labels: entries.map(([key, value]) => `${key}=${value}`).join(','),
    Label: (name) => entries.find(([key]) => key === String(name))?.[1] ?? '',
  };
}
