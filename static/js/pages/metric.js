// One metric, drawn.

import { startBoard } from "./board.js";

startBoard();
