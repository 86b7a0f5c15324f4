import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// npm run dev serves the page on a port of its own, and passes requests to the API on. The Host
// header stays that of the page, as a proxy should leave it. The short form, "/api": api, would change it.
const api = process.env.API ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  build: { assetsInlineLimit: 0 }, // the Content-Security-Policy has no data: URLs
  server: {
    proxy: {
      "/api": { target: api, changeOrigin: false },
      "/settings/api": { target: api, changeOrigin: false },
    },
  },
});
