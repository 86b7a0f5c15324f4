import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// npm run dev serves the page on a port of its own, and passes requests to the API on. The Host
// header stays that of the page, so that the API sees requests of its own origin.
const api = "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  build: { assetsInlineLimit: 0 }, // the Content-Security-Policy has no data: URLs
  server: { proxy: { "/api": api, "/settings": api } },
});
