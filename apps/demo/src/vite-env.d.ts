/** Vite bundles it; TypeScript only needs to know that it may be imported. */
declare module '*.css'
