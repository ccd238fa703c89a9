/** Puts the doc comments of the settings into their JSON Schema as descriptions, by walking schema and source side by side. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';

type Schema = { [key: string]: unknown };

/** Top-level constants of the files, by name. */
function constantsOf(paths: readonly string[]): Map<string, ts.Expression> {
  const found = new Map<string, ts.Expression>();
  for (const path of paths) {
    const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    for (const statement of file.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      for (const { name, initializer } of statement.declarationList.declarations) {
        if (initializer !== undefined) found.set(name.getText(), initializer);
      }
    }
  }
  return found;
}

export function withComments(schema: object, root: string, paths: readonly string[]): object {
  const described = structuredClone(schema) as Schema;
  const constants = constantsOf(paths);
  walk(constants.get(root), described, constants);
  return described;
}

function walk(expression: ts.Expression | undefined, schema: Schema, constants: Map<string, ts.Expression>): void {
  if (expression === undefined) return;
  if (ts.isIdentifier(expression)) walk(constants.get(expression.text), schema, constants);
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression)) return;
  const { expression: receiver, name } = expression.expression;
  const [first, second] = expression.arguments;
  if (receiver.getText() !== 'z') walk(receiver, schema, constants);
  else if (name.text === 'strictObject' && first !== undefined) describe(first, schema, constants);
  else if (name.text === 'array') walk(first, schema.items as Schema, constants);
  else if (name.text === 'discriminatedUnion' && second !== undefined && ts.isArrayLiteralExpression(second)) {
    const forms = (schema.oneOf ?? schema.anyOf) as Schema[];
    second.elements.forEach((element, index) => {
      walk(element, forms[index] as Schema, constants);
    });
  }
}

/** The properties of an object literal, those of the literals spread into it too. */
function describe(literal: ts.Expression, schema: Schema, constants: Map<string, ts.Expression>): void {
  if (ts.isIdentifier(literal)) describe(constants.get(literal.text) as ts.Expression, schema, constants);
  if (!ts.isObjectLiteralExpression(literal)) return;
  for (const property of literal.properties) {
    if (ts.isSpreadAssignment(property)) describe(property.expression, schema, constants);
    if (!ts.isPropertyAssignment(property)) continue;
    const own = (schema.properties as Record<string, Schema>)[property.name.getText()] as Schema;
    const comment = commentOf(property);
    if (comment !== undefined) own.description = comment;
    walk(property.initializer, own, constants);
  }
}

function commentOf(node: ts.Node): string | undefined {
  const text = node.getFullText().slice(0, node.getLeadingTriviaWidth());
  const comment = text.match(/\/\*\*([\s\S]*?)\*\//g)?.at(-1);
  return comment
    ?.slice(3, -2)
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}
