const dateTimes = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const dates = new Intl.DateTimeFormat("en", { dateStyle: "medium" });

export const dateTime = (at: string): string => dateTimes.format(new Date(at));
export const date = (at: string): string => dates.format(new Date(at));
