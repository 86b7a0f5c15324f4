import { type FormEvent, useRef, useState } from "react";
import { api, type Note } from "./api";
import { focusInstead } from "./focus";
import { useAction, useLoaded } from "./hooks";
import { session } from "./session";

const listNotes = () => api.GET("/notes");

export function Notes() {
  const [data, reload] = useLoaded(listNotes);
  const [run, busy, problem] = useAction();
  const [text, setText] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);

  const add = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await session.call(() => api.POST("/notes", { body: { text } }));
      setText((typed) => (typed === text ? "" : typed)); // only now: an outage must not lose it
      session.announce("Note added.");
      await reload();
    });
  };
  const remove = (note: Note) =>
    run(async () => {
      await session.call(() => api.DELETE("/notes/{id}", { params: { path: { id: note.id } } }));
      session.announce(`Note “${note.text}” deleted.`);
      await reload();
      focusInstead(heading);
    });

  return (
    <section className="card" aria-labelledby="notes">
      <h2 id="notes" ref={heading} tabIndex={-1}>
        Notes
      </h2>
      {problem && (
        <p role="alert" className="notice error">
          {problem.detail}
        </p>
      )}
      <form className="row" onSubmit={add}>
        <label htmlFor="note">New note</label>
        <input id="note" required maxLength={200} value={text} onChange={(e) => setText(e.target.value)} />
        <button type="submit" disabled={busy}>
          Add
        </button>
      </form>
      {data && data.notes.length === 0 && <p className="hint">There are no notes yet.</p>}
      <ul className="list">
        {data?.notes.map((note) => (
          <li key={note.id}>
            <span className="grow">{note.text}</span>
            <button type="button" className="plain" disabled={busy} aria-label={`Delete the note “${note.text}”`} onClick={() => void remove(note)}>
              Delete
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
