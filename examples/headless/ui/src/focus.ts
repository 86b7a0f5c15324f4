import { type RefObject } from "react";

/**
 * Moves the focus to a heading after the button that had it has disappeared, unless the user is in
 * a field by now.
 */
export function focusInstead(heading: RefObject<HTMLElement | null>): void {
  if (!document.activeElement?.matches("input, select")) {
    heading.current?.focus();
  }
}
