"""What a proposal must ask: questions with names, by which they are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from opsroom.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a file does not say.

    Attributes
    ----------
    id
        By which it is answered: ``--answer id=value``.
    text
        The question, in words.
    options
        The answers allowed; empty where any text is.
    default
        What is taken where nobody answers; empty where it must be answered.
    required
        Whether there is no specification without an answer.
    answer
        The answer given, or the default.
    given
        Whether somebody answered.
    """

    id: str
    text: str
    options: tuple[str, ...] = ()
    default: str = ""
    required: bool = False
    answer: str = ""
    given: bool = False

    @property
    def open(self) -> bool:
        """Whether it must still be answered."""
        return self.required and not self.answer

    def to_dict(self) -> dict[str, object]:
        """Return the question as JSON-ready values."""
        return {
            "id": self.id,
            "question": self.text,
            "options": list(self.options),
            "default": self.default,
            "required": self.required,
            "answer": self.answer,
            "assumed": bool(self.answer) and not self.given,
        }


@dataclass(slots=True)
class Interview:
    """Ask in one place, so that each answer is checked and none is left unused.

    Parameters
    ----------
    answers
        Question's name → answer.
    """

    answers: Mapping[str, str]
    asked: dict[str, Question] = field(default_factory=dict)

    def ask(
        self, name: str, text: str, *, options: Sequence[str] = (), default: str = "", required: bool = False
    ) -> str:
        """Ask, and return the answer, the default, or an empty text where the answer is still open.

        Raises
        ------
        UsageError
            The answer given is not among the options.
        """
        question = Question(name, text, tuple(options), default, required)
        given = self.answers.get(name, "").strip()
        if given:
            if options and given not in options:
                matches = [option for option in options if option.lower() == given.lower()]
                if not matches:
                    raise UsageError(
                        f"the answer to {name!r} is none of its options.",
                        remedy=f"Answer one of: {', '.join(options)}.",
                        code="OPS-U041",
                    )
                given = matches[0]
            question = replace(question, answer=given, given=True)
        else:
            question = replace(question, answer=default)
        self.asked[name] = question
        return question.answer

    def reject(self, name: str, words: str) -> None:
        """Put a question again: its answer is of no use, for the reason given."""
        question = self.asked[name]
        self.asked[name] = replace(question, text=f"{words} {question.text}", answer="", given=False)

    def check(self, *, more: Sequence[str] = ()) -> None:
        """Refuse answers to what was not asked; `more` are names that may be answered without being asked.

        Raises
        ------
        UsageError
            With the names.
        """
        unknown = sorted(set(self.answers) - set(self.asked) - set(more))
        if unknown:
            raise UsageError(
                f"nothing of that name was asked: {', '.join(unknown)}.",
                remedy=f"Questions: {', '.join(self.asked)}.",
                code="OPS-U042",
            )

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, those that are open first."""
        return tuple(sorted(self.asked.values(), key=lambda q: (not q.open, not q.required)))
