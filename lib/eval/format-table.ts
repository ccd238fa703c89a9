export interface TableColumn {
  readonly title: string;
  /** Default 'left'. */
  readonly align?: 'left' | 'right';
}

/** Columns a terminal gives a text: code points, wide East Asian ones twice, combining marks not at all. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

/** A fixed-width text table: a line of titles, a rule, and one line a row; no trailing spaces, a final line break. */
export function formatTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map((_, index) => row[index] ?? ''))];
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => widthOf(row[index] as string))));
  const lines = cells.map((row) =>
    row
      .map((cell, index) => {
        const padding = ' '.repeat((widths[index] as number) - widthOf(cell));
        return columns[index]?.align === 'right' ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return `${[lines[0], rule, ...lines.slice(1)].join('\n')}\n`;
}

/** A share as the field prints it: times 100, two digits. */
export const percent = (share: number): string => (100 * share).toFixed(2);
