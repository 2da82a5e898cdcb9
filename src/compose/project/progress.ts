/** What happens to a resource, as it happens: `Container web-1 Creating`. */
export interface ProgressEvent {
  readonly kind: 'Container' | 'Network' | 'Project' | 'Volume' | 'Image' | 'Secret' | 'Service';
  readonly name: string;
  readonly status: string;
  readonly reason?: string;
}

export type OnProgress = (event: ProgressEvent) => void;
