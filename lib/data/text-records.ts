/** The texts of a retrieval collection, as every reader yields them. */

export interface TextQuery {
  readonly id: string;
  readonly text: string;
}

export interface TextDocument {
  readonly id: string;
  /** '' where the format or the document has none. */
  readonly title: string;
  readonly text: string;
}
