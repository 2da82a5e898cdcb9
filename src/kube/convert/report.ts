/** What of a Compose file the manifests do not say, or say otherwise. */
export interface Finding {
  /** `services.web.container_name` */
  readonly field: string;
  readonly words: string;
}

export class Report {
  readonly #findings = new Map<string, Finding>();

  add(field: string, words: string): void {
    this.#findings.set(`${field}\0${words}`, { field, words });
  }

  /** In the order of the fields. */
  get findings(): readonly Finding[] {
    return [...this.#findings.values()].sort((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : 0));
  }
}
